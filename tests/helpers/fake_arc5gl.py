"""
A program that looks like arc5gl from outside: it shows a prompt, takes commands, and writes files where it runs.

It serves the archive that $FAKE_SKA names, up to the time $FAKE_UNTIL (CXC seconds). $FAKE_TROUBLE says what goes
wrong: `hang`, `deaf`, `die`, `die_at_once`, `empty`, `garbage`, `early_prompt`, `flood`; `half:PATTERN` and
`twice:PATTERN` with files whose names have the pattern.
"""

import os
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path

ARCHIVE = Path(os.environ.get("FAKE_SKA", ""), "data/mica/archive")
UNTIL = float(os.environ.get("FAKE_UNTIL", "inf"))
TROUBLE, _, PATTERN = os.environ.get("FAKE_TROUBLE", "").partition(":")
# From 2017 to this writing CXC seconds are seconds of UTC since 1998 and 69.184.
LEAP = 69.184


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def seconds(date: str) -> float:
    return (datetime.strptime(date, "%Y:%j:%H:%M:%S.%f") - datetime(1998, 1, 1)).total_seconds() + LEAP


def answer(said: dict[str, str], last: str) -> list[Path]:
    if last == "go":
        assert said["dataset"] == "flight"
        assert (said["detector"], said["subdetector"], said["level"]) == ("pcad", "aca", "0")
        assert said["operation"] == "retrieve"
        return sorted(ARCHIVE.glob(f"aca0/*/*/{said['filename']}*"))
    if last == "get aca0":
        start, stop = seconds(said["tstart"]), min(seconds(said["tstop"]), UNTIL)
        files = sorted(ARCHIVE.glob("aca0/*/*/acaf*"), key=lambda path: [*path.name.split("_")[1:], path.name])
        return [path for path in files if start <= int(path.name[4:].split("N")[0]) <= stop]
    top = ARCHIVE / last.removeprefix("get ") / f"{int(said['obsid']):05d}"[:2]
    link = top / f"{int(said['obsid']):05d}"
    if said["version"] == "last" and link.with_name(f"{link.name}_last").exists():
        link = link.with_name(f"{link.name}_last")
    return sorted(link.iterdir()) if link.exists() else []


def deliver(paths: list[Path]) -> None:
    for number, path in enumerate(paths):
        bad = PATTERN in path.name
        if TROUBLE == "die" and number == len(paths) // 2:
            Path(path.name).write_bytes(path.read_bytes()[:100])
            os._exit(13)
        if TROUBLE == "hang" and number == len(paths) // 2:
            time.sleep(600)
        if TROUBLE == "early_prompt" and number == 1:
            say("ARC5GL> ")
            time.sleep(0.5)
        shutil.copyfile(path, path.name)
        if TROUBLE == "half" and bad:
            Path(path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if TROUBLE == "twice" and bad:
            Path(path.name.replace(".gz", ".1.gz")).write_bytes(path.read_bytes())
    say(f"{len(paths)} files\n")


def main() -> None:
    if TROUBLE == "die_at_once":
        os._exit(1)
    if TROUBLE == "deaf":
        time.sleep(600)
    said: dict[str, str] = {}
    say("\n\x1b[1m arc5gl \xa0 \x07\nARC5GL> " if TROUBLE == "garbage" else "Welcome\nARC5GL> ")
    for line in sys.stdin:
        command = line.strip()
        if "=" in command:
            name, _, value = command.partition("=")
            said[name] = value
        else:
            with Path(os.environ["FAKE_LOG"]).open("a") as log:
                log.write(" ".join([*(f"{n}={v}" for n, v in said.items()), command]) + "\n")
            if TROUBLE == "flood":
                while True:
                    say("nonsense " * 10_000)
            if TROUBLE == "garbage":
                say("?!\x00\xff ARC5GL \r\n" * 10_000)
            deliver([] if TROUBLE == "empty" else answer(said, command))
        say("ARC5GL> ")


if __name__ == "__main__":
    main()
