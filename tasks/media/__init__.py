"""What is played, to timed words: videos and recordings fetched, opened, heard, and their captions.

Knows nothing of language models and tables; `tasks.extract` makes numbered segments of it.
"""
