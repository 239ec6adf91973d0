"""`lectern doctor`: what is there, what is missing, and the command that mends it.

`examination` runs the checks beside each other and survives each of them; the other modules hold
them, by what they look at. A check looks, and changes nothing. Nothing is imported here that may
itself be what is broken: what may die or hang is asked in a child process with a limit of time.
"""
