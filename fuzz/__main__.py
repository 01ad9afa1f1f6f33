"""The command line: ``python -m fuzz run`` fuzzes, ``python -m fuzz replay FILE`` shows again what was found."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
FINDINGS: Final = HERE / "findings"
NAMES: Final = ("request", "response", "proxy")
INSTRUMENTED: Final = ("revproxy.http", "revproxy.downstream", "revproxy.upstream")
LONGEST_INPUT: Final = 3000
NO_ATHERIS: Final = (
    "fuzz: atheris is not installed (it has wheels for CPython 3.10 to 3.14 on Linux x86_64): inputs are made by the\n"
    "fuzz: same grammar and checked in the same way, but coverage does not guide them"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line says; the exit code is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="fuzz each target for a while")
    run.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(NAMES)}; else all of them")
    run.add_argument("--time", type=int, default=60, metavar="SECONDS", help="for each target (60)")
    run.add_argument("--seed", type=int, default=0, help="makes a run repeatable; 0 draws one (0)")
    again = commands.add_parser("replay", help="check inputs that were found")
    again.add_argument("files", nargs="+", type=Path, metavar="FILE")
    again.add_argument("--target", choices=NAMES, help="what it is an input of; its name says it")
    one = commands.add_parser("one", help="fuzz one target with libFuzzer's own options, in this process")
    one.add_argument("target", choices=NAMES)
    one.add_argument("options", nargs=argparse.REMAINDER)
    asked = parser.parse_args(arguments)
    if asked.command == "replay":
        return max(_replay(file, asked.target) for file in asked.files)
    if asked.command == "one":
        _fuzz_here(asked.target, asked.options)
    if unknown := set(asked.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    fuzz = _fuzz if has_atheris() else _try_random
    if fuzz is _try_random:
        print(NO_ATHERIS, flush=True)
    seed = asked.seed or int.from_bytes(os.urandom(3), "big") + 1
    for name in asked.targets or NAMES:
        print(f"fuzz: {name} for {asked.time} s, seed {seed}", flush=True)
        found = fuzz(name, asked.time, seed)
        if found is not None:
            print(f"fuzz: a mistake was found; this shows it again:\n    {sys.executable} -m fuzz replay {found}")
            return 1
    print("fuzz: no mistake was found")
    return 0


def has_atheris() -> bool:
    """Whether there is a fuzzer."""
    return importlib.util.find_spec("atheris") is not None


def _target_of(file: Path) -> str:
    for name in NAMES:
        if file.name.startswith(f"{name}-"):
            return name
    raise SystemExit(f"fuzz: {file.name} does not begin with a target's name; give --target")


def _replay(file: Path, target: str | None) -> int:
    from fuzz.script import decoded
    from fuzz.targets import TARGETS

    name = target or _target_of(file)
    octets = file.read_bytes()
    print(decoded(octets) if name == "proxy" else repr(octets))
    try:
        TARGETS[name].check(octets)
    except Exception:  # noqa: BLE001  # whatever is raised is what was looked for
        traceback.print_exc()
        return 1
    print("fuzz: nothing is wrong with it")
    return 0


def write_corpus(name: str) -> Path:
    """Writes a target's seeds beside what earlier runs found worth keeping; gives the folder."""
    from fuzz.seeds import seeds

    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for octets in seeds(name):
        (folder / hashlib.sha1(octets).hexdigest()).write_bytes(octets)
    return folder


def write_dictionary() -> Path:
    """Writes the pieces of the grammar in libFuzzer's notation; gives the file."""
    from fuzz.grammar import dictionary

    file = CORPUS / "http.dict"
    lines = ['"%s"' % "".join(f"\\x{octet:02x}" for octet in piece) for piece in dictionary() if len(piece) <= 64]
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    return file


def _fuzz(name: str, seconds: int, seed: int) -> Path | None:
    """Fuzzes in a process of its own, since libFuzzer ends the process it runs in; gives the input that was found."""
    corpus = write_corpus(name)
    FINDINGS.mkdir(exist_ok=True)
    before = set(FINDINGS.iterdir())
    done = subprocess.run(
        [
            sys.executable, "-m", "fuzz", "one", name, str(corpus), f"-max_total_time={seconds}", f"-seed={seed}",
            f"-max_len={LONGEST_INPUT}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1",
            f"-dict={write_dictionary()}", f"-artifact_prefix={FINDINGS}/{name}-",
        ],
        cwd=HERE.parent,
        check=False,
    )  # fmt: skip
    found = sorted(set(FINDINGS.iterdir()) - before)
    if found:
        return found[0]
    if done.returncode:
        raise SystemExit(f"fuzz: the fuzzer ended with {done.returncode}, and left no input")
    return None


def _not_instrumented() -> list[str]:
    """The modules that coverage is not about: atheris includes whole packages, and excludes modules by name."""
    root = HERE.parent
    files = (file.relative_to(root).with_suffix("") for file in (root / "revproxy").rglob("*.py"))
    names = (".".join(file.parts).removesuffix(".__init__") for file in files)
    return [name for name in names if not name.startswith(INSTRUMENTED)]


def _fuzz_here(name: str, options: Sequence[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["revproxy"], exclude=_not_instrumented()):
        from fuzz.targets import TARGETS
    target = TARGETS[name]

    def mutate(octets: bytes, most: int, seed: int) -> bytes:
        return target.mutate(octets, most, Random(seed), atheris.Mutate)

    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=mutate)
    atheris.Fuzz()


def _try_random(name: str, seconds: int, seed: int) -> Path | None:
    """The same without coverage: seeds, inputs of the grammar, and changes to them."""
    from fuzz.mutate import flip
    from fuzz.seeds import seeds
    from fuzz.targets import TARGETS

    target = TARGETS[name]
    random = Random(seed)
    pool = seeds(name)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        if count < len(pool):
            octets = pool[count]
        elif random.random() < 0.5:
            octets = target.make(random)
        else:
            octets = target.mutate(random.choice(pool), LONGEST_INPUT, random, flip(random))
        count += 1
        try:
            target.check(octets)
        except Exception:  # noqa: BLE001  # whatever is raised is what was looked for
            traceback.print_exc()
            FINDINGS.mkdir(exist_ok=True)
            found = FINDINGS / f"{name}-random-{hashlib.sha1(octets).hexdigest()}"
            found.write_bytes(octets)
            return found
    print(f"fuzz: {count} inputs")
    return None


if __name__ == "__main__":
    sys.exit(main())
