"""The work itself: extract, chunk, generate, land, and the pool that runs the model.

Plain functions that a test calls without Prefect. `flows/` says in which order they run.
"""
