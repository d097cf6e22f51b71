"""The small package that every notebook of the course imports."""
