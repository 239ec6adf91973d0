"""The prompts of model families whose files carry no chat template, and which family a file is of.

`table` has the forms, `detect` tells a file's family, `choose` picks what a model is talked to in.
"""
