"""Print the lib directory of the Flink that is installed beside this Python."""

import importlib.util
import sys

spec = importlib.util.find_spec("pyflink")
if spec is None or not spec.submodule_search_locations:
    sys.exit("Flink is not installed: `make setup` installs it")
print(f"{spec.submodule_search_locations[0]}/lib")
