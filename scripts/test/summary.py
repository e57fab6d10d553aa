"""summary.py REPORTS: makes one report out of the tests' (tests-*.xml), the steps' (steps.tsv) and the coverage
(coverage/lines.json): junit.xml, report.json, report.html. Prints the slow tests, every skip with its reason, every
failure and, as the last line, the counts. Exits 1 when something failed or nothing ran."""

import html
import json
import pathlib
import sys
import xml.etree.ElementTree as xml

SLOW_SECONDS = 5


def read_tests(reports: pathlib.Path) -> xml.Element:
    root = xml.Element("testsuites", name="tts-operator")
    for file in sorted(reports.glob("tests-*.xml")):
        root.extend(xml.parse(file).getroot())
        file.unlink()
    return root


def read_steps(reports: pathlib.Path) -> xml.Element:
    suite = xml.Element("testsuite", name="steps")
    file = reports / "steps.tsv"
    for line in file.read_text().splitlines() if file.exists() else []:
        name, seconds, result, message = line.split("\t")
        case = xml.SubElement(suite, "testcase", name=name, classname="steps", time=seconds)
        if result == "skipped":
            xml.SubElement(case, "skipped", message=message or "no reason was given")
        elif result != "passed":
            log = reports / f"{name}.log"
            failure = xml.SubElement(case, "failure", message=message or f"see {log.name}")
            failure.text = log.read_text(errors="replace")[-4000:] if log.exists() else message
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", str(sum(seconds_of(case) for case in cases)))
    return suite


def name_of(case: xml.Element) -> str:
    return f"{case.get('classname')} {case.get('name')}"


def seconds_of(case: xml.Element) -> float:
    return float(case.get("time", 0))


def outcome(case: xml.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def reason_of(case: xml.Element) -> str:
    skipped = case.find("skipped")
    return (skipped.get("message") if skipped is not None else None) or "no reason was given"


def table(head: list[str], rows: list[list[str]]) -> str:
    cells = [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>{''.join(cells)}</table>"


def page(report: dict) -> str:
    counts = report["counts"]
    coverage = [[name, f"{part['percent']} %", f"{part['covered']} of {part['lines']}"] for name, part in report["coverage"].items()]
    return "".join(
        [
            "<!DOCTYPE html><meta charset=utf-8><title>tts-operator: test report</title>",
            "<style>body{font-family:sans-serif;margin:2em}td,th{text-align:left;padding:.2em 1em .2em 0}</style>",
            f"<h1>{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped</h1>",
            "<h2>Failed</h2>" + table(["test"], [[name] for name in report["failed"]]),
            "<h2>Skipped</h2>" + table(["test", "reason"], [list(item) for item in report["skipped"].items()]),
            "<h2>Lines covered</h2>" + table(["crate", "covered", "lines"], coverage),
            "<p><a href=coverage/html/index.html>Line by line</a></p>" if coverage else "<p>not measured</p>",
            f"<h2>Slower than {SLOW_SECONDS} s</h2>"
            + table(["test", "seconds"], [[name, f"{seconds:.1f}"] for name, seconds in report["slow"].items()]),
        ]
    )


def main() -> None:
    reports = pathlib.Path(sys.argv[1])
    root = read_tests(reports)
    root.insert(0, read_steps(reports))
    cases = list(root.iter("testcase"))
    by_outcome = {kind: [case for case in cases if outcome(case) == kind] for kind in ("passed", "failed", "skipped")}
    counts = {kind: len(found) for kind, found in by_outcome.items()}
    root.set("tests", str(len(cases)))
    root.set("failures", str(counts["failed"]))
    xml.ElementTree(root).write(reports / "junit.xml", encoding="utf-8", xml_declaration=True)

    lines = reports / "coverage/lines.json"
    slow = sorted((case for case in cases if seconds_of(case) > SLOW_SECONDS), key=seconds_of, reverse=True)
    report = {
        "counts": counts,
        "failed": [name_of(case) for case in by_outcome["failed"]],
        "skipped": {name_of(case): reason_of(case) for case in by_outcome["skipped"]},
        "coverage": json.loads(lines.read_text()) if lines.exists() else {},
        "slow": {name_of(case): seconds_of(case) for case in slow},
    }
    (reports / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (reports / "report.html").write_text(page(report))

    print(f"\nSlower than {SLOW_SECONDS} s:")
    for name, seconds in report["slow"].items():
        print(f"{seconds:8.1f} s  {name}")
    print(f"\nReport: {reports / 'report.html'}")
    for name, reason in report["skipped"].items():
        print(f"SKIPPED  {name}: {reason}")
    for name in report["failed"]:
        print(f"FAILED  {name}")
    skips = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skips}")
    sys.exit(1 if counts["failed"] or not counts["passed"] else 0)


main()
