"""`lectern clean`: what takes room, and removing it by kind and age.

`kinds` finds what is Lectern's, `history` knows Prefect's database, `removal` takes away what was
listed and nothing else. None of them follows a link, and none touches a file that it does not know.
"""
