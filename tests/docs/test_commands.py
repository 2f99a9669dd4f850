"""Each command of the documents has its place: a test follows it as it stands, or a test shows the
same with other names, or it is parsed only, and why is said here.

All are parsed: by this program's parser, by make, by the options that a program's help names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from benchmark.cli.commands import COMMANDS
from tests.support.command_options import (
    installed,
    made,
    of_docker,
    of_others,
    of_python,
    ours,
)
from tests.support.documents import DOCUMENTS, ROOT, blocks, calls, codes
from tests.support.system_packages import PACKAGES
from tests.support.tutorials import TUTORIALS

Section = tuple[str, str]


@dataclass(frozen=True)
class Shown:
    """A test does the same, with other names or fewer tasks."""

    test: str


@dataclass(frozen=True)
class Parsed:
    """No test can do it here, or none should."""

    why: str


FOLLOWING = "tests/docs/test_following.py"
EXTENDING = "tests/acceptance/test_extending.py"
CLUSTER = "tests/compute/slurm/test_real_cluster.py"
FLOWS = "tests/compute/metaflow/test_metaflow.py"
SEQUENCE = "tests/acceptance/test_classic_sequence.py"
SERVER = "tests/hpo/service/test_server.py"
WALK = "tests/hpo/service/test_walk.py"
CI = Parsed("continuous integration runs it; a test that ran it would run itself")
INSTALLS = Parsed("it needs an index of packages, and would change the interpreter of the tests")
SETS = Parsed("it sets a variable for the lines after it")

# What the program is called with under these headings is run as it stands, in its order. Scripts
# (blocks of `sh`) stand in service.md alone, whose test runs them all.
FOLLOWED: dict[Section, str] = {
    ("README.md", "Your own benchmark"): f"{FOLLOWING}::test_the_readme_is_followed",
    ("docs/extending.md", "A framework in ten minutes"): f"{EXTENDING}::followed",
    ("docs/extending.md", "Another version of a framework"): f"{EXTENDING}::followed",
    ("docs/extending.md", "Environments"): f"{EXTENDING}::followed",
    ("docs/extending.md", "A dispatcher"): f"{EXTENDING}::followed",
    ("docs/index.md", "Start"): f"{FOLLOWING}::test_the_start_is_followed",
    ("docs/index.md", "Completion"): f"{FOLLOWING}::test_completion_is_written",
    ("docs/own-data.md", "Your own data"): f"{FOLLOWING}::test_the_guide_to_own_data_is_followed",
    ("docs/publishing.md", "Publish"): f"{FOLLOWING}::test_the_guide_to_publishing_is_followed",
    (
        "docs/publishing.md",
        "Check a published table",
    ): f"{FOLLOWING}::test_the_guide_to_publishing_is_followed",
    (
        "docs/publishing.md",
        "Rerun a benchmark published with this program",
    ): f"{FOLLOWING}::test_the_guide_to_publishing_is_followed",
    ("docs/service.md", "The classic contract"): f"{WALK}::test_the_client_s_walk",
    ("docs/service.md", "A session with curl: `/v1`"): f"{WALK}::test_the_walks",
    ("docs/service.md", "Tokens"): f"{WALK}::test_tokens_are_made_and_asked_for",
    ("docs/tuning.md", "Five minutes"): f"{FOLLOWING}::test_the_guide_to_tuning_is_followed",
    (
        "docs/tuning.md",
        "A directory with config.json",
    ): f"{FOLLOWING}::test_a_directory_is_followed",
    ("docs/tuning.md", "Data that you have already"): f"{FOLLOWING}::test_data_are_imported",
    **{
        (str(path.relative_to(ROOT)), block.heading): f"{CLUSTER}::test_the_tutorial_is_followed"
        if path.name == "slurm.md"
        else "tests/docs/test_tutorials.py::test_a_tutorial_is_followed"
        for path in TUTORIALS.glob("*.md")
        for block in blocks(path)
    },
}
OTHERS: dict[Section, dict[str, Shown | Parsed]] = {
    ("CONTRIBUTING.md", "Contributing"): {
        **{"make check": CI, "make test": CI, "make slow": CI, "make docs": CI},
        "make coverage": Parsed("it runs the tests themselves, under a tracer"),
        "make screenshots": Parsed("it runs an integration test that keeps its pictures"),
    },
    ("README.md", "AutoML benchmark"): {
        "make benchmark": Shown(f"{FOLLOWING}::test_the_start_is_followed"),
        "make test": CI,
    },
    ("README.md", "Your own benchmark"): {
        ". .venv/bin/activate": Shown(f"{FOLLOWING}::test_the_start_is_followed"),
    },
    ("README.md", "Tuning a system"): {
        "./main.py tune examples/sqlite --confirm 10": Shown(
            f"{FOLLOWING}::test_the_guide_to_tuning_is_followed"
        ),
        "./main.py studies show sqlite": Shown(
            f"{FOLLOWING}::test_the_guide_to_tuning_is_followed"
        ),
        "./main.py studies report sqlite": Shown(
            f"{FOLLOWING}::test_the_guide_to_tuning_is_followed"
        ),
        "./main.py serve": Shown(f"{WALK}::test_the_walks"),
    },
    ("docs/tuning.md", "Verdict: is the best configuration better?"): {
        "./main.py tune --resume sqlite --confirm until-decided --measure-noise 10": Shown(
            "tests/hpo/test_verdict.py::test_a_verdict_as_a_user"
        ),
    },
    ("docs/clusters.md", "From login to leaderboard on Slurm"): {
        "git clone … /shared/bench && cd /shared/bench && make env": Parsed(
            "where the program is published is not known yet"
        ),
        "./main.py setup constant random-forest flaml --to environments": Shown(
            "tests/frameworks/test_setup.py::test_setup_writes_one_file"
        ),
        "./main.py doctor": Shown(
            "tests/runs/doctor/test_doctor.py::test_a_scheduler_that_is_configured_and_not_there"
        ),
        "./main.py execute-compute": Shown(f"{CLUSTER}::test_a_run_in_which_everything_dies_once"),
        "./main.py fetch-results": Shown(f"{SEQUENCE}::sequence"),
        "./main.py run-analysis": Shown(f"{SEQUENCE}::sequence"),
    },
    ("docs/clusters.md", "Pilot: many short tasks, MPI programs"): {
        "./main.py status --jobs --run studies/NAME": Shown(
            f"{FOLLOWING}::test_the_guide_to_tuning_is_followed"
        ),
    },
    ("docs/clusters.md", "Metaflow"): {
        "pip install -r requirements-metaflow.txt": INSTALLS,
        './main.py execute-compute --set \'compute={"*": "metaflow"}\'': Shown(
            f"{FLOWS}::test_a_killed_run_is_resumed"
        ),
        "export PYTHONPATH=$PWD": SETS,
        "FLOW=benchmark/compute/metaflow/scripts/tasks_flow.py": SETS,
        "python $FLOW run --store_url s3://bucket/bench/ --run_name default": Shown(
            f"{FLOWS}::test_the_flow_of_a_study_runs_its_workers"
        ),
    },
    ("docs/clusters.md", "On Kubernetes"): {
        "export METAFLOW_DECOSPECS=kubernetes:image=REGISTRY/bench:TAG": SETS,
        "./main.py execute-compute": Parsed("it needs a Kubernetes"),
        "python $FLOW --with kubernetes:image=REGISTRY/bench:TAG,cpu=2,memory=4524 "
        "argo-workflows create": Shown(f"{FLOWS}::test_the_deployed_documents_compile"),
        "python $FLOW argo-workflows trigger --store_url s3://bucket/bench/ "
        "--run_name default": Parsed("it needs a Kubernetes with Argo Workflows"),
    },
    ("docs/kubernetes.md", "Start"): {
        "pip install -e '.[kubernetes]'": INSTALLS,
        "./main.py init-compute --push registry.example.org/bench": Shown(
            "tests/docker/test_containers.py::test_images_are_pushed_once"
        ),
    },
    ("docs/ray.md", "On Ray"): {
        "pip install -r requirements-ray.txt": INSTALLS,
        "export RAY_ADDRESS=head:6379": SETS,
        './main.py execute-compute --set \'compute={"*": "ray"}\'': Shown(
            "tests/compute/ray/test_ray.py::"
            "test_tasks_of_a_killed_node_run_again_and_nothing_is_left"
        ),
    },
    ("docs/promises.md", "Evidence for the promises"): {
        "make prove": Shown("tests/prove/test_prove.py::test_the_promises_hold"),
        'make prove ARGS="--seed 1 --markdown table.md"': Shown(
            "tests/prove/test_prove.py::test_the_promises_hold"
        ),
    },
    ("docs/publishing.md", "Reproduce the AutoML benchmark's ranking of 2019"): {
        "./main.py run-analysis --results all_results.csv": Parsed(
            "the published tables are not ours to give away"
        ),
        "PUBLISHED_TABLES=tables .venv/bin/python -m pytest "
        "tests/analysis/statistics/test_published_tables.py": Parsed(
            "it needs the published tables"
        ),
    },
    ("docs/stopping-early.md", "Stopping early"): {
        "./main.py execute-compute --until against:flaml": Shown(
            "tests/faults/test_early_stop.py::"
            "test_a_run_killed_twice_and_resumed_claims_what_an_uninterrupted_one_claims"
        ),
    },
    ("docs/stopping-early.md", "Data sets or splits"): {
        "./main.py execute-compute --until order --unit split": Shown(
            "tests/faults/test_early_stop.py::"
            "test_a_run_killed_twice_and_resumed_claims_what_an_uninterrupted_one_claims"
        ),
    },
    ("docs/stopping-early.md", "On your last run"): {
        "./main.py replay compiled_results.csv --until best": Shown(
            "tests/analysis/early_stop/test_replay.py::"
            "test_the_report_has_cost_claims_and_whether_they_are_right"
        ),
    },
    ("docs/aws.md", "Accept it on your account"): {
        ".venv/bin/python prove/aws_acceptance.py --bucket a-new-bucket": Shown(
            "tests/compute/aws/test_acceptance.py::test_every_promise_is_kept_and_all_is_removed"
        ),
    },
    ("docs/service.md", "The HPO service"): {
        "pip install -e '.[service]'": INSTALLS,
        "./main.py serve": Shown(f"{WALK}::test_the_walks"),
    },
    ("docs/service.md", "Deployment"): {
        "DOCKER_BUILDKIT=1 docker build -f docker/service/Dockerfile -t automl-benchmark-service "
        ".": Shown("tests/hpo/service/test_image.py::image"),
        'docker run -d -p 127.0.0.1:8085:8085 -v hpo:/data -v "$PWD/tokens:/run/secrets/tokens:ro" '
        "automl-benchmark-service --token-file /run/secrets/tokens": Shown(
            "tests/hpo/service/test_image.py::test_what_was_told_outlives_a_kill"
        ),
    },
    ("docs/user-guide.md", "Quickstart"): {
        command: Shown(f"{FOLLOWING}::test_the_start_is_followed")
        for command in (
            "./main.py resume-compute",
            "./main.py fetch-results",
            "./main.py run-analysis",
        )
    },
    ("docs/user-guide.md", "Task files"): {
        command: Shown(f"{FOLLOWING}::test_task_files_are_followed")
        for command in (
            "./main.py export-failures failed.jsonl --cause timeout",
            "./main.py file-compute failed.jsonl --cause timeout",
            "./main.py delete-runs failed.jsonl",
        )
    },
    ("docs/user-guide.md", "Cleaning the store"): {
        "./main.py clean-s3 --run first": Shown(
            "tests/acceptance/test_reports.py::test_clean_s3_shows_and_asks"
        ),
    },
    ("docs/user-guide.md", "Images"): {
        "./main.py init-compute --framework optuna --framework h2o": Shown(
            "tests/docker/test_containers.py::test_a_build_that_was_killed_goes_on"
        ),
        "./main.py init-compute --push localhost:5000": Shown(
            "tests/docker/test_containers.py::test_images_are_pushed_once"
        ),
        "docker run --rm --user $(id -u):$(id -g) -v ./runs:/store automl-benchmark:TAG /store RUN "
        "optuna/penguins/75": Shown("tests/docker/test_containers.py::test_any_user_may_run_it"),
    },
}
# Of a followed section these are no calls of the program: its test types them too, or says here.
OTHERS[("examples/nn/README.md", "A small network, pruned")] = {
    "pip install torch --index-url https://download.pytorch.org/whl/cpu": INSTALLS
}
OTHERS[("docs/index.md", "Completion")] = {"pip install -e '.[completion]'": INSTALLS}
_MEASURES = Shown("tests/hpo/test_examples.py::test_a_service_that_prometheus_measures")
OTHERS[("examples/prometheus/README.md", "Prometheus")] = {
    "prometheus --config.file=examples/prometheus/prometheus.yml "
    "--storage.tsdb.path=/tmp/prometheus-example --web.listen-address=127.0.0.1:19090": _MEASURES,
    "./main.py tune examples/prometheus": _MEASURES,
}
TYPED = sorted(
    {(block.place, line) for path in DOCUMENTS for block in blocks(path) for line in block.typed}
)
IN_SENTENCES = sorted(
    {
        code
        for path in DOCUMENTS
        for code in codes(path)
        if re.match(
            r"(?:\./main\.py|make|python|pip|apt-get|pre-commit|sbatch|cd|metaflow|uv) \S", code
        )
        or (re.match(r"[\w-]+ [^|]*$", code) and code.split()[0] in COMMANDS)
    }
)


def test_every_command_is_in_the_documents() -> None:
    lines = {line for _, line in TYPED} | set(IN_SENTENCES)
    named = {words[1] for line in lines for words in calls(line) if words[0] == "./main.py"}
    assert set(COMMANDS) - named == set()


def test_each_has_one_place() -> None:
    told = {(place, line) for place, lines in OTHERS.items() for line in lines}
    assert told - set(TYPED) == set(), "no document says this any more"
    lost = {one for one in set(TYPED) - told if one[0] not in FOLLOWED}
    assert lost == set(), "let a test follow them, or say in this file why none does"


def test_what_follows_and_shows_is_there() -> None:
    named = {
        place.test
        for lines in OTHERS.values()
        for place in lines.values()
        if isinstance(place, Shown)
    }
    for name in named | set(FOLLOWED.values()):
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(), name


def test_followed_sections_and_scripts_are_there() -> None:
    found = {block.place for path in DOCUMENTS for block in blocks(path)}
    assert set(FOLLOWED) - found == set()
    scripts = {b.document.name for path in DOCUMENTS for b in blocks(path) if b.language == "sh"}
    assert scripts == {"service.md"}


@pytest.mark.parametrize("line", sorted({line for _, line in TYPED} | set(IN_SENTENCES)))
def test_its_program_takes_it(line: str) -> None:
    for program, *words in calls(line.replace(" … --", " --")):
        name = program.rpartition("/")[2]
        if program == "./main.py" or program in COMMANDS:
            ours([*([] if program == "./main.py" else [program]), *words])
        elif name == "make":
            made(words)
        elif name == "python":
            of_python(words)
        elif name == "pip":
            installed(words)
        elif name == "apt-get":
            assert set(words) - {"install"} <= set(PACKAGES)
        elif name == "docker":
            of_docker(words)
        else:
            of_others(program, words)
