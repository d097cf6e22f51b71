"""What maintainers run; learners never need it."""
