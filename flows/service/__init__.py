"""`lectern service`: server, worker and pool as systemd user units, so that schedules survive a
reboot.

`units` knows the texts and what has to be escaped in them, `systemd` the commands that take them
in, `parts` what the units run. None of them knows how a server or a worker works: that is
`flows.up`'s business.
"""
