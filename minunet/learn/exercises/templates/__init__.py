"""The files that students get, one per exercise: the forward, a worked example, and a TODO."""
