"""What a machine does from its first second to its last; runs on the Python that it came with.

boot.py JOB.json: fetch the code, make an interpreter for it, start the worker, and whatever
happens put the log into the store and shut the machine down. Standard library, Python 3.6.
"""

import datetime
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = os.environ.get("AUTOML_ROOT", "/opt/automl-benchmark")
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
LOG = os.path.join(ROOT, "boot.log")
WORKER_LOG_EVERY_S = 30
PYTHONS = ("python3.11", "python3.12", "python3.13")


def metadata(path):
    """An answer of the metadata service, by version 2 of its protocol."""
    put = urllib.request.Request(
        METADATA + "/latest/api/token",
        method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"},
    )
    token = urllib.request.urlopen(put, timeout=5).read().decode()  # nosec B310 # an http address of ours
    get = urllib.request.Request(
        METADATA + "/latest/meta-data/" + path, headers={"X-aws-ec2-metadata-token": token}
    )
    return urllib.request.urlopen(get, timeout=5).read().decode()  # nosec B310 # an http address of ours


def credentials():
    """Those of the machine's role, or the SDK's variables."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return tuple(os.environ.get(name, "") for name in names)
    role = metadata("iam/security-credentials/").split()[0]
    found = json.loads(metadata("iam/security-credentials/" + role))
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def s3(job, verb, path, data=b""):
    """One signed request (AWS Signature Version 4) for an object of the store."""
    bucket, _, prefix = job["store"][len("s3://") :].partition("/")
    key = urllib.parse.quote((prefix.strip("/") + "/" + path).lstrip("/"), safe="/-_.~")
    region, endpoint = job["variables"]["AWS_REGION"], job["variables"].get("AWS_ENDPOINT_URL_S3")
    if endpoint:
        url = endpoint.rstrip("/") + "/" + bucket + "/" + key
    else:
        url = "https://%s.s3.%s.%s/%s" % (bucket, region, job["domain"], key)
    parts = urllib.parse.urlsplit(url)
    access, secret, token = credentials()
    stamp = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(data).hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
    asked = "\n".join((verb, parts.path, "", lines, names, digest))
    scope = "/".join((stamp[:8], region, "s3", "aws4_request"))
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(asked.encode()).hexdigest()))
    signing = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
        % (access, scope, names, signature)
    )
    del headers["host"]
    body = data if verb == "PUT" else None
    request = urllib.request.Request(url, data=body, method=verb, headers=headers)
    return urllib.request.urlopen(request, timeout=60).read()  # nosec B310 # an endpoint of AWS


def patiently(action, *arguments):
    """Try for a few minutes: a role's credentials and a store may take a moment to be there."""
    for pause in (1, 2, 4, 8, 15, 30, 30, 0):
        try:
            return action(*arguments)
        except (OSError, ValueError, KeyError, IndexError) as error:
            print("%s: %s; trying again in %d s" % (action.__name__, error, pause), flush=True)
            if not pause:
                raise
            time.sleep(pause)
    return None


def unpack(bundle):
    """The code, and the folders of own frameworks at their own places."""
    archive = os.path.join(ROOT, "bundle.tar.gz")
    with open(archive, "wb") as file:
        file.write(bundle)
    # Pythons that have no filters yet unpack what the driver made without one.
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(os.path.join(ROOT, "bundle"), **filtered)  # nosec B202 # the driver made it
    own = os.path.join(ROOT, "bundle", "own")
    for folder, _, files in os.walk(own):
        target = "/" + os.path.relpath(folder, own)
        for name in files:
            if not os.path.exists(os.path.join(target, name)):
                os.makedirs(target, exist_ok=True)
                shutil.copy(os.path.join(folder, name), os.path.join(target, name))


def run(command):
    print("+ " + " ".join(command), flush=True)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def interpreter():
    """One with the harness's packages: the image's own, or made now."""
    ready = os.environ.get("BENCHMARK_PYTHON", os.path.join(ROOT, "harness", "bin", "python"))
    if os.path.exists(ready):
        return ready
    base = next((path for name in PYTHONS for path in [shutil.which(name)] if path), None)
    if base is None:
        if shutil.which("dnf"):
            run(["dnf", "install", "-y", "-q", "python3.11", "python3.11-pip"])
        else:
            run(["apt-get", "-qq", "update"])
            run(["apt-get", "-qq", "install", "-y", "python3.11", "python3.11-venv"])
        base = "python3.11"
    bundle, folder = os.path.join(ROOT, "bundle"), os.path.join(ROOT, "harness")
    run([base, "-m", "venv", folder])
    python = os.path.join(folder, "bin", "python")
    run([python, "-m", "pip", "install", "-q", "-r", os.path.join(bundle, "pre-requirements.txt")])
    uv = os.path.join(folder, "bin", "uv")
    # What tasks need, as in an image; requirements.txt has its versions, and the whole program.
    command = [uv, "pip", "install", "-q", "--python", python]
    for option, name in (("-c", "requirements.txt"), ("-r", "docker/task-requirements.txt")):
        command += [option, os.path.join(bundle, name)]
    run(command)
    return python


def install(packages):
    """The system packages of the frameworks; an image without dnf and apt-get has its own."""
    for program, quiet in (("dnf", ["-q"]), ("apt-get", ["-qq"])):
        if packages.get(program) and shutil.which(program):
            if program == "apt-get":
                run([program, *quiet, "update"])
            run([program, *quiet, "install", "-y", *packages[program]])
            return


def scratch():
    """A folder on the root disk: /tmp may be in memory, half of it on Amazon Linux 2023."""
    folder = os.path.join(ROOT, "scratch")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = folder


def work(job_file, job, machine):
    """Run the worker to its end; returns its exit code."""
    code = os.path.join(ROOT, "bundle", "code")
    own_variables = {"PYTHONPATH": code, "AUTOML_BENCHMARK_CACHE": os.path.join(ROOT, "cache")}
    if "AUTOML_BENCHMARK_CACHE" in os.environ:
        del own_variables["AUTOML_BENCHMARK_CACHE"]
    module = "benchmark.compute.baremetal.baremetal_wrapper"
    return subprocess.call(
        [interpreter(), "-m", module, job_file, machine],
        env=dict(
            os.environ,
            HOME=os.environ.get("HOME", "/root"),
            **dict(job["variables"], **own_variables),
        ),
        stdin=subprocess.DEVNULL,
    )


def send_log(job, machine):
    sys.stdout.flush()
    with open(LOG, "rb") as file:
        log = file.read()
    if len(log) > 4000000:
        log = log[:1000000] + b"\n[...]\n" + log[-3000000:]
    s3(job, "PUT", "%s/logs/machines/%s.log" % (job["run"], machine), log)


def keep_sending(job, machine):
    """The log as it grows, so that a machine that is taken away leaves one too."""
    while True:
        time.sleep(WORKER_LOG_EVERY_S)
        try:
            send_log(job, machine)
        except OSError as error:
            print("The log cannot be sent: %s" % error, flush=True)


def last_line():
    with open(LOG, errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1][-300:] if lines else ""


def main():
    job_file = sys.argv[1]
    with open(job_file) as file:
        job = json.load(file)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    machine, stage, good = "unknown", "metadata", False
    try:
        machine = patiently(metadata, "instance-id")
        threading.Thread(target=keep_sending, args=(job, machine), daemon=True).start()
        stage = "code"
        unpack(patiently(s3, job, "GET", job["bundle"]))
        scratch()
        stage = "packages"
        install(job["packages"])
        stage = "worker"
        good = work(job_file, job, machine) == 0
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        EOFError,
        tarfile.TarError,
        subprocess.CalledProcessError,
    ) as error:
        print("%s: %s" % (type(error).__name__, error), flush=True)
    said = {"good": good, "stage": stage, "message": "" if good else last_line()}
    print("Ended: %s" % said, flush=True)
    patiently(send_log, job, machine)
    path = "%s/machines/%s.end" % (job["run"], machine)
    patiently(s3, job, "PUT", path, json.dumps(said).encode())


if __name__ == "__main__":
    main()
