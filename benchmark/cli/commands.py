"""The commands: their groups, modules and descriptions, and which options they share."""

from __future__ import annotations

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Run a benchmark": {
        "execute-compute": ("runs.execute:execute_compute", "run every task from scratch"),
        "resume-compute": ("runs.execute:resume_compute", "run the tasks that have no result"),
        "file-compute": (
            "runs.files:file_compute",
            "run the tasks of a task file that have no result",
        ),
        "local": ("runs.execute:local", "run one task on this machine and print its record"),
        "status": ("runs.status:show_status", "show the progress of the run"),
        "estimate": ("runs.estimate:show_estimate", "forecast tasks, hours and cost"),
        "download-data": (
            "setup.data:download_data",
            "put the data sets of the studies into the store",
        ),
    },
    "Results": {
        "fetch-results": (
            "runs.status:fetch_results",
            "compile the records to compiled_results.csv",
        ),
        "run-analysis": (
            "analysis:run_analysis",
            "compute statistics, draw figures, write the report",
        ),
        "replay": ("replay:replay", "show what stored results cost with an early stop"),
        "export-failures": (
            "runs.files:export_failures",
            "write the tasks without a result to a file",
        ),
        "get-logs": ("runs.files:get_logs", "download the logs to ./log/RUN/"),
    },
    "Tune a system": {
        "tune": ("studies.tune:tune", "run a study: find a better configuration of any system"),
        "studies": (
            "studies.studies:studies",
            "list, show, export, import, stop, delete and migrate studies",
        ),
        "dashboard": (
            "studies.dashboard:dashboard",
            "open a study in the browser, with optuna-dashboard",
        ),
        "serve": ("studies.serve:serve", "serve trials to other programs over HTTP and gRPC"),
    },
    "Frameworks and machines": {
        "frameworks": (
            "setup.frameworks:frameworks",
            "list the frameworks; create, check or lock one",
        ),
        "setup": (
            "setup.environments:setup",
            "build, measure or remove the environments of frameworks",
        ),
        "init-compute": ("setup.compute:init_compute", "prepare images and, on AWS, the resources"),
        "refresh-compute": (
            "setup.compute:refresh_compute",
            "prepare the same without the data sets",
        ),
    },
    "Maintenance": {
        "doctor": ("setup.doctor:doctor", "check configuration, store and machine"),
        "delete-runs": ("runs.files:delete_runs", "delete the results of the tasks in a task file"),
        "clean-s3": ("runs.files:clean_s3", "delete everything that this program has in the store"),
        "completion": ("completion:completion", "print a completion script for bash or zsh"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
ALIASES = {"perform-analysis": "run-analysis"}
NARROWED = (
    *("execute-compute", "resume-compute", "file-compute", "status", "fetch-results"),
    *("export-failures", "delete-runs", "get-logs", "run-analysis", "estimate"),
)
BY_CAUSE = {
    "resume-compute": "tasks with this outcome; their results are set aside and run again",
    "file-compute": "tasks with this outcome; their results are set aside and run again",
    "export-failures": "tasks with this outcome, results included",
    "status": "tasks with this outcome, such as timeout",
    "fetch-results": "tasks with this outcome, such as timeout",
    "delete-runs": "tasks with this outcome, such as timeout",
    "get-logs": "tasks with this outcome, such as timeout",
}
DETACHED = ("execute-compute", "resume-compute", "file-compute", "tune")
UNTIL = ("execute-compute", "resume-compute", "replay")
FILED = ("file-compute", "export-failures", "delete-runs")
# The others have a configuration and a report; this one prints a script.
TOLD_AS_JSON = tuple(name for name in COMMANDS if name != "completion")
