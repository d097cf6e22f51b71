"""What is right on each page, and what a wrong answer betrays: a module for each notebook, which imports its `page`.

It stands here and not on the pages so that nobody reads it by accident.
"""
