"""From chunks to a finished summary: prompts, requests, answers and their checks."""
