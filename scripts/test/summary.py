"""summary.py REPORTS: makes one JUnit file out of the tests' (tests.xml) and the steps' (steps.tsv), prints the slowest
tests, every failure and, as the last line, the counts. Exits 1 when something failed or nothing ran."""

import pathlib
import sys
import xml.etree.ElementTree as xml

SLOWEST = 15


def read_tests(reports: pathlib.Path) -> xml.Element:
    file = reports / "tests.xml"
    return xml.parse(file).getroot() if file.exists() else xml.Element("testsuites", name="tts-operator")


def read_steps(reports: pathlib.Path) -> xml.Element:
    suite = xml.Element("testsuite", name="steps")
    file = reports / "steps.tsv"
    for line in file.read_text().splitlines() if file.exists() else []:
        name, seconds, result, message = line.split("\t")
        case = xml.SubElement(suite, "testcase", name=name, classname="steps", time=seconds)
        if result == "failed":
            log = reports / f"{name}.log"
            failure = xml.SubElement(case, "failure", message=message or f"see {log.name}")
            failure.text = log.read_text(errors="replace")[-4000:] if log.exists() else message
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("time", str(sum(float(case.get("time")) for case in cases)))
    return suite


def name_of(case: xml.Element) -> str:
    return f"{case.get('classname')} {case.get('name')}"


def outcome(case: xml.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def main() -> None:
    reports = pathlib.Path(sys.argv[1])
    root = read_tests(reports)
    root.insert(0, read_steps(reports))
    cases = list(root.iter("testcase"))
    root.set("tests", str(len(cases)))
    root.set("failures", str(sum(outcome(case) == "failed" for case in cases)))
    xml.ElementTree(root).write(reports / "junit.xml", encoding="utf-8", xml_declaration=True)
    (reports / "tests.xml").unlink(missing_ok=True)

    slowest = sorted(cases, key=lambda case: -float(case.get("time", 0)))[:SLOWEST]
    table = "".join(f"{float(case.get('time', 0)):8.1f} s  {name_of(case)}\n" for case in slowest)
    (reports / "slowest.txt").write_text(table)
    print(f"\nThe slowest:\n{table}\nReports: {reports}")

    failed = [case for case in cases if outcome(case) == "failed"]
    for case in failed:
        print(f"FAILED  {name_of(case)}")
    passed = sum(outcome(case) == "passed" for case in cases)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed or not passed else 0)


main()
