"""Depot's programs as they are installed, and where they are."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def build(*selections):
    """Each selection of packages on its own: with the tests in the same build the server would have their
    switches."""
    for packages in selections:
        subprocess.run(["cargo", "build", "--release", "--locked", *packages], cwd=ROOT, check=True)


def add_options(parser):
    parser.add_argument("--depot-server", type=pathlib.Path, default=RELEASE / "depot-server", metavar="PROGRAM")
    parser.add_argument("--depot", type=pathlib.Path, default=RELEASE / "depot", metavar="PROGRAM")
    parser.add_argument("--no-build", action="store_true", help="take the programs as they are")
