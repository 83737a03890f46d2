"""Memory that is kept between two training steps.

A step asks for some hundred megabytes and lets go of them, array by array; the next one asks for the same again. By
default the C library gives large blocks back to the system at once, and the system clears every page before it hands
it out anew: on two cores that costs up to a third of the step.
"""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # names and numbers of glibc's malloc.h


def keep_freed_memory():
    """From now on this process keeps up to 2 GB of what it frees, to use it again. Returns whether that could be set.

    Only glibc (Linux) knows the switch; elsewhere nothing changes. The peak of memory stays the same.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; TypeError: Windows
        return False
    no_blocks_of_their_own = mallopt(M_MMAP_MAX, 0)
    trimmed_above = mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    grown_by = mallopt(M_TOP_PAD, 2**26)
    return bool(no_blocks_of_their_own and trimmed_above and grown_by)
