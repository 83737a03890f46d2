"""Memory that is kept from one training step to the next.

A step allocates some hundred megabytes and frees them, array by array; the next step allocates the same again. By
default the C library returns large blocks to the system at once, and the system clears every page before it hands it
out again: on two cores that costs up to a third of the step.
"""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # names and numbers of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Makes this process keep up to 2 GB of what it frees, to use it again. Returns whether that could be set.

    Only glibc (Linux) has this option; elsewhere nothing changes. Peak memory can grow: what is freed between two
    arrays that stay is a hole, which an array larger than the hole cannot use.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; TypeError: Windows
        return False
    without_mmap = mallopt(M_MMAP_MAX, 0)
    trimmed_late = mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    grown_in_large_steps = mallopt(M_TOP_PAD, 2**26)
    return bool(without_mmap and trimmed_late and grown_in_large_steps)
