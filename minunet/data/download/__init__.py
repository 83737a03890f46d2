"""The Oxford-IIIT pets, downloaded and unpacked by `download`. A server may send anything, and so may an archive hold.

archives   which ones there are, and what lies in a folder on the way
fetch      one file from a server, continued where it broke off, and checked
unpack     one folder out of an archive
"""

from minunet.data.download.archives import ARCHIVES, BASE_URL, download
from minunet.data.download.fetch import DownloadError

__all__ = ["ARCHIVES", "BASE_URL", "DownloadError", "download"]
