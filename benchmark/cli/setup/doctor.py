"""doctor: a line for each check, and how to fix what is wrong."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from benchmark.cli.output import report
from benchmark.cli.session import loaded_configuration
from benchmark.errors import ConfigError
from benchmark.runs import doctor as checks
from benchmark.runs.doctor import Finding
from benchmark.runs.doctor.finding import misconfigured


def doctor(options: argparse.Namespace) -> int:
    findings = _found(options)
    width = max(len(finding.subject) for finding in findings)
    code = checks.exit_code(findings)
    facts = {"findings": [asdict(finding) for finding in findings], "exit_code": code}
    report(options, facts, (_line(finding, width) for finding in findings))
    return code


def _found(options: argparse.Namespace) -> list[Finding]:
    try:
        loaded = loaded_configuration(options)
    except ConfigError as error:
        return [misconfigured("configuration", str(error).rstrip("."))]
    return list(checks.examine(loaded))


def _line(finding: Finding, width: int) -> str:
    fix = f"; {finding.mend}" if finding.mend else ""
    return f"{finding.level:7}  {finding.subject:{width}}  {finding.message}{fix}"
