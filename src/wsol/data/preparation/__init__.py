"""From the archives of CUB-200-2011, ILSVRC 2012 and OpenImages30k to data that `open_data` reads.

An archive is read from front to end and a member written when it is met; nothing is unpacked by
the archive's own wish. What is finished is noted, so the same command goes on after a kill.
"""
