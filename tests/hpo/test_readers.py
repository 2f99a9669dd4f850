"""Readers of tools' reports: the right numbers from recorded output, and an error from all else."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.measuring import Measuring
from benchmark.hpo.objectives.metrics.readers import READERS, ReportError, read

REPORTS = Path(__file__).with_name("reports")
SYSBENCH = (REPORTS / "sysbench-cpu.txt").read_text()
FOUND = {
    "ab.txt": {"throughput": 239.18, "latency_mean": 0.016724, "latency_p99": 0.053, "errors": 0},
    "fio.json": {
        "throughput": 2759.481038 + 2770.958084,
        "read_bandwidth": 11302834,
        "read_clat_p99": 0.003981312,
        "write_latency_mean": 4.611512156e-06,
    },
    "fio-two.json": {"write_iops": 39128.078818, "a_read_clat_p99_9": 0.011730944},
    "hey.txt": {"throughput": 84.2566, "latency_p95": 0.0581, "latency_max": 0.0674, "errors": 0},
    "hyperfine.json": {"command_0_mean": 0.05576991362, "command_1_max": 0.09759633882000002},
    "hyperfine-one.json": {"mean": 0.0621055376},
    "iperf3.json": {"throughput": 5399953135.3752165, "retransmits": 4},
    "iperf3-udp.json": {"lost_percent": 0, "jitter": 0.0010465166267828185},
    "jmeter.jtl": {
        "throughput": 4.0,
        "errors": 1,
        "error_rate": 0.25,
        "latency_mean": 0.1375,
        "latency_max": 0.3,
        "Home_latency_p50": 0.1,
        "Missing_page_errors": 1,
    },
    "jmh.json": {
        "StringBench_concat_avgt_10_score": 12.5e-6,
        "StringBench_concat_avgt_10_error": 0.75e-6,
        "StringBench_builder_thrpt_10_score": 250500,
    },
    "k6.json": {
        "throughput": 10.5,
        "latency_mean": 0.0485,
        "latency_p95": 0.1204,
        "http_req_duration_p99_9": 0.2002,
        "error_rate": 0.03,
        "checks_value": 0.9,
    },
    "k6-handle-summary.json": {"throughput": 10.5, "latency_p50": 0.0442, "error_rate": 0.03},
    "pgbench.txt": {"throughput": 835.272933, "latency_mean": 0.002394, "errors": 0},
    "pgbench-rate.txt": {"throughput": 47.232795, "latency_stddev": 0.006224, "late": 0},
    "redis-benchmark.csv": {"set_throughput": 16666.67, "get_latency_p99": 0.006471},
    "redis-benchmark-q.txt": {"set_throughput": 9615.38, "get_latency_p50": 0.000047},
    "sysbench-cpu.txt": {"throughput": 310.04, "latency_p95": 0.02037, "latency_max": 0.06367},
    "sysbench-memory.txt": {"throughput": 541798.86, "transfer": 529.10 * 2**20},
    "sysbench-fileio.txt": {"reads": 2570.86, "latency_mean": 0.00022},
    "sysbench-oltp.txt": {"throughput": 54.5, "queries": 871.99, "latency_p95": 0.04579},
    "techempower.json": {
        "json_gemini_throughput": 20000,
        "json_gemini_latency_mean": 0.00162,
        "json_gemini_latency_max": 61.2,
        "json_gemini_errors": 6,
        "db_gemini_latency_mean": 0.005,
    },
    "wrk.txt": {
        "throughput": 84.6,
        "latency_mean": 0.04679,
        "latency_p99": 0.06759,
        "latency_max": 0.06801,
        "transfer": 16.04 * 1024,
        "errors": 0,
    },
    "wrk-errors.txt": {"throughput": 201.89, "errors": 209},
}


def tool_of(file: str) -> str:
    return max((name for name in READERS if file.startswith(name)), key=len)


@pytest.mark.parametrize("file", FOUND)
def test_a_report_is_read_and_no_other_reader_takes_it(file: str) -> None:
    text = (REPORTS / file).read_text()
    report = read(tool_of(file), text)
    found = {name: report[name].number for name in FOUND[file]}
    assert found == pytest.approx(FOUND[file], rel=1e-12)
    for name in report:
        times = name.partition("latency")[1] or "clat" in name
        assert not times or report[name].base == "s"
    for other in READERS.keys() - {tool_of(file)}:
        with pytest.raises(ReportError):
            read(other, text)


def test_every_reader_has_a_report() -> None:
    assert {tool_of(file) for file in FOUND} == READERS.keys()


@pytest.mark.parametrize("file", sorted(FOUND.keys() - {"jmeter.jtl", "redis-benchmark-q.txt"}))
def test_a_report_that_breaks_off_is_refused(file: str) -> None:
    """As a tool leaves it that is killed; a JTL and -q have a line for each thing measured."""
    text = (REPORTS / file).read_text().rstrip()
    with pytest.raises(ReportError):
        read(tool_of(file), text[: len(text) // 3])


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "text", ["", "sh: 1: tool: not found\n", "{}", "[]", '{"jobs": []}', "1\n"]
)
def test_what_is_no_report_is_refused_in_a_sentence(name: str, text: str) -> None:
    with pytest.raises(ReportError) as caught:
        read(name, text)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("iperf3", (REPORTS / "iperf3-refused.json").read_text(), "unable to connect to server"),
        ("hey", (REPORTS / "hey-errors.txt").read_text(), "no response"),
        ("wrk", (REPORTS / "wrk.txt").read_text() * 2, "There are 2 reports of wrk"),
        ("jmeter", "1700000000000,100,Home,200,true\n", "print_field_names=true"),
        ("jmeter", "timeStamp,elapsed,label,success\n2023/11/14 22:13,9,a,true\n", "Line 2"),
        ("redis-benchmark", '"test","rps"\n"SET","-nan"\n', "'-nan' as 'rps'"),
        ("sysbench", re.sub(r"(total time: +)\S+", r"\g<1>0.0000s", SYSBENCH), "ran for 0 s"),
        ("jmh", (REPORTS / "jmh.json").read_text().replace("us/op", "J/op"), "the unit 'J/op'"),
        ("fio", (REPORTS / "fio.json").read_text().replace('"error": 0', '"error": 5'), "error 5"),
    ],
)
def test_what_measured_nothing_is_refused(name: str, text: str, said: str) -> None:
    with pytest.raises(ReportError, match=r"\.$") as caught:
        read(name, text)
    assert said in str(caught.value)


def test_a_reader_in_a_study_keeps_units(tmp_path: Path) -> None:
    units: dict[str, object] = {}
    (tmp_path / "load.txt").write_text((REPORTS / "wrk.txt").read_text())
    found = Measuring(reader="wrk", file="load.txt").read(tmp_path, "", None, units)  # type: ignore[arg-type]
    assert found["latency_p99"] == 0.06759
    assert {"latency_p99", "latency_mean"} <= units.keys()
    assert "throughput" not in units
    with pytest.raises(MeasureError, match=r"'stdout': This is not a report of wrk"):
        Measuring(reader="wrk").read(tmp_path, "bye\n")


def test_redis_tests_with_a_digit_in_their_name_are_read() -> None:
    lines = (
        "LPUSH (needed to benchmark LRANGE): 111111.11 requests per second, p50=0.2 msec",
        "LRANGE_100 (first 100 elements): 55555.55 requests per second, p50=0.3 msec",
    )
    found = read("redis-benchmark", "\n".join(lines) + "\n")
    rates = [quantity.number for name, quantity in found.items() if name.endswith("throughput")]
    assert sorted(rates) == [55555.55, 111111.11]


FORMS: list[Any] = [None, 0, "x", [], {}, [1], True, {"a": 1}]
JSON_REPORTS = sorted(file for file in FOUND if file.endswith(".json"))


def changed(document: Any) -> Iterator[Any]:
    """The document with one of its parts in another form."""
    if isinstance(document, dict | list):
        for key in range(len(document)) if isinstance(document, list) else document:
            for part in (*FORMS, *changed(document[key])):
                other = document.copy()
                other[key] = part
                yield other


@pytest.mark.parametrize("file", JSON_REPORTS)
def test_a_part_in_another_form_is_refused_or_left_out(file: str) -> None:
    text = (REPORTS / file).read_text()
    document = json.loads(text[re.search(r"^[\[{]", text, re.MULTILINE).start() :])  # type: ignore[union-attr]
    for other in islice(changed(document), 0, None, 7):
        with contextlib.suppress(ReportError):
            read(tool_of(file), json.dumps(other))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("redis-benchmark", '"test","rps"\n"GET","1.0","3"\n'),
        ("jmeter", "timeStamp,elapsed,success,label\n1,2,true\n5,6,true,b\n"),
        ("jmeter", f'timeStamp,elapsed,label,success\n1,2,"{"a" * 200_000}",true\n'),
        ("techempower", '{"duration": 0, "rawData": {"a": {"b": [{"totalRequests": 5}]}}}'),
        ("hyperfine", '{"results": [1]}'),
    ],
)
def test_a_report_of_another_form_is_no_fault_of_the_machine(name: str, text: str) -> None:
    with pytest.raises(ReportError, match=rf"not a report of {name}: a part of it has another"):
        read(name, text)
