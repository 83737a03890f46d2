"""What the checker knows of each exercise: inputs to try, typical mistakes, hints, and where the solution is."""
