"""Source folders include only from the folders that the design allows them."""

import pathlib
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
ALLOWED = {
    "kernels": {"kernels"},
    "jobs": {"jobs", "kernels/float_formats.hpp"},
    "sharding": {"sharding", "jobs", "kernels"},
    "worker": {"worker", "sharding", "jobs", "kernels"},
    "coordinator": {"coordinator", "worker", "sharding", "jobs", "kernels"},
}


def violations():
    for folder, allowed in ALLOWED.items():
        files = [f for f in (SOURCE / folder).rglob("*") if f.suffix in (".hpp", ".cpp", ".inc", ".cu", ".cuh")]
        if not files:
            yield f"{folder}: no sources found"
        for file in files:
            for included in re.findall(r'^#include "([^"]+)"', file.read_text(), re.MULTILINE):
                if included.split("/")[0] not in allowed and included not in allowed:
                    yield f"{file.relative_to(SOURCE)} includes {included}"


if __name__ == "__main__":
    found = list(violations())
    print("\n".join(found) or "all includes point the right way")
    sys.exit(bool(found))
