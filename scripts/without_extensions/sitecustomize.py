"""On PYTHONPATH while http-parser is built: it leaves out its C extension, which no Python since 3.11 compiles.

Its setup.py does so on PyPy alone, which it knows by this attribute; its Python parser does the same work.
"""

import sys

vars(sys)["pypy_version_info"] = sys.version_info
