"""Preparation of CUB-200-2011, ILSVRC 2012 and OpenImages30k from their archives for `open_data`.

Archives are read sequentially, and only expected members are written. Finished archives are
recorded, so that the same command resumes after a kill.
"""
