"""What the lecture shows, made visible: one's own network explained in a page, experiments, exercises."""
