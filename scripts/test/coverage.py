"""coverage.py SUMMARY LINES [--update]: sums the lines covered by tests per crate from llvm-cov's SUMMARY, writes them to
LINES, and compares them with coverage-baseline.json beside this file. Exits 1 when a crate is below its baseline by more
than the tolerance, or below the minimum. --update writes the baseline."""

import json
import pathlib
import sys

CRATES = {"operator": "operator/src/", "inference-server": "inference-server/src/"}
MINIMUM = 80.0
TOLERANCE = 0.5

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BASELINE = pathlib.Path(__file__).with_name("coverage-baseline.json")


def measure(summary: pathlib.Path) -> dict:
    files = json.loads(summary.read_text())["data"][0]["files"]
    result = {}
    for crate, folder in CRATES.items():
        lines = [file["summary"]["lines"] for file in files if file["filename"].startswith(f"{REPOSITORY}/{folder}")]
        total, covered = (sum(each[field] for each in lines) for field in ("count", "covered"))
        percent = round(100 * covered / total, 2) if total else 0.0
        result[crate] = {"lines": total, "covered": covered, "percent": percent}
    return result


def complaints(found: dict, baseline: dict) -> list[str]:
    result = []
    for crate, lines in found.items():
        percent, before = lines["percent"], baseline.get(crate, 100.0)
        if percent < MINIMUM:
            result.append(f"{crate}: {percent} % of lines are covered; {MINIMUM} % is the minimum")
        if percent < before - TOLERANCE:
            result.append(
                f"{crate}: {percent} % of lines are covered; the baseline is {before} %, with {TOLERANCE} points of tolerance."
                " Add tests; where the drop is right, write the baseline anew with: scripts/test/coverage.py --update"
            )
    return result


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--update"]
    reports = REPOSITORY / "target/reports/coverage"
    summary, output = map(pathlib.Path, arguments or (reports / "summary.json", reports / "lines.json"))
    found = measure(summary)
    output.write_text(json.dumps(found, indent=2) + "\n")
    for crate, lines in found.items():
        print(f"{crate}: {lines['percent']} % of {lines['lines']} lines are covered (minimum: {MINIMUM} %)")
    if "--update" in sys.argv:
        BASELINE.write_text(json.dumps({crate: lines["percent"] for crate, lines in found.items()}, indent=2) + "\n")
        return 0
    wrong = complaints(found, json.loads(BASELINE.read_text()))
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
