"""The queue of a fleet's tasks: SQS, a message a task, and a queue of dead letters behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.compute.aws.clients import Aws, NotYetError, RefusedError, batches
from benchmark.errors import BenchmarkError

AT_ONCE = 10
RETENTION_S = 14 * 24 * 3600
_GONE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
# There is a queue of this name with other attributes.
_OTHERWISE = ("QueueNameExists", "QueueAlreadyExists")


@dataclass(frozen=True)
class Message:
    """A task that this process has until its time is up, unless it asks for more.

    `id` is SQS's; the same message has another receipt each time that it is received.
    """

    key: str
    receipt: str
    id: str


def remove(aws: Aws, name: str, urls: Iterable[str]) -> None:
    """Delete a fleet's queues with what is in them: those known by `urls`, and those that SQS has
    by their names. One that is gone is no error.

    Raises:
        PassingError: SQS does not know yet one that was just made.
    """
    found = {*urls, *(_url(aws, one) for one in (name, _dead_name(name)))}
    for url in filter(None, found):
        try:
            aws.call("sqs", "delete_queue", QueueUrl=url)
        except RefusedError as error:
            if error.code not in _GONE or isinstance(error, NotYetError):
                raise


def _dead_name(name: str) -> str:
    return f"{name}-dead"


def _url(aws: Aws, name: str) -> str | None:
    try:
        return str(aws.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"])
    except RefusedError as error:
        if error.code not in _GONE:
            raise
        return None


def _made(aws: Aws, name: str, attributes: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """The URL of the queue; one that is there is given these attributes."""
    try:
        made = aws.call("sqs", "create_queue", QueueName=name, Attributes=attributes, tags=tags)
        return str(made["QueueUrl"])
    except RefusedError as error:
        url = _url(aws, name) if error.code in _OTHERWISE else None
        if url is None:
            raise
    aws.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=attributes)
    return url


@dataclass(frozen=True)
class TaskQueue:
    """The URLs of the queue and of its dead letters."""

    url: str
    dead_url: str

    @staticmethod
    def make(
        aws: Aws,
        name: str,
        visibility_s: int,
        tries: int,
        note: Callable[[str], None] = lambda url: None,  # noqa: ARG005
    ) -> TaskQueue:
        """The two queues; the same again where they are there already.

        `note` gets each as soon as it is there. A message that was taken `tries` times and
        never ended becomes a dead letter.
        """
        kept = {"MessageRetentionPeriod": str(RETENTION_S)}
        tags = {"automl-benchmark": name}
        dead_url = _made(aws, _dead_name(name), kept, tags)
        note(dead_url)
        asked: dict[str, Any] = {"QueueUrl": dead_url, "AttributeNames": ["QueueArn"]}
        arn = aws.call("sqs", "get_queue_attributes", **asked)["Attributes"]["QueueArn"]
        attributes = kept | {
            "VisibilityTimeout": str(visibility_s),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": tries}),
        }
        url = _made(aws, name, attributes, tags)
        note(url)
        return TaskQueue(url, dead_url)

    def send(self, aws: Aws, keys: Iterable[str]) -> None:
        """A message for each key.

        Raises:
            BenchmarkError: some were refused.
        """
        for batch in batches(list(keys), AT_ONCE):
            entries = [{"Id": str(n), "MessageBody": key} for n, key in enumerate(batch)]
            answer = aws.call("sqs", "send_message_batch", QueueUrl=self.url, Entries=entries)
            for failed in answer.get("Failed", []):
                raise BenchmarkError(
                    f"SQS refuses the message of {batch[int(failed['Id'])]}: "
                    f"{failed.get('Message') or failed.get('Code')}."
                )

    def receive(self, aws: Aws, most: int, wait_s: int) -> list[Message]:
        return self._receive(aws, self.url, most, wait_s)

    def dead(self, aws: Aws) -> list[Message]:
        """Some of the dead letters; none where there are none."""
        return self._receive(aws, self.dead_url, AT_ONCE, 0)

    def extend(self, aws: Aws, messages: Iterable[Message], seconds: int) -> list[str]:
        """Keep messages for so much longer; 0 hands them back. Returns the keys that were lost."""
        lost: list[str] = []
        for batch in batches(list(messages), AT_ONCE):
            entries = [
                {"Id": str(n), "ReceiptHandle": one.receipt, "VisibilityTimeout": seconds}
                for n, one in enumerate(batch)
            ]
            answer = aws.call(
                "sqs", "change_message_visibility_batch", QueueUrl=self.url, Entries=entries
            )
            lost += [batch[int(one["Id"])].key for one in answer.get("Failed", [])]
        return lost

    def is_empty(self, aws: Aws, dead: int = 0) -> bool:
        """Whether no message waits, and none is with a machine, beside so many dead letters."""
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        answer = [
            aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(counts))
            for url in (self.url, self.dead_url)
        ]
        waiting, letters = (sum(int(one["Attributes"][name]) for name in counts) for one in answer)
        return waiting == 0 and letters <= dead

    def done(self, aws: Aws, message: Message, *, dead: bool = False) -> None:
        url = self.dead_url if dead else self.url
        aws.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=message.receipt)

    def _receive(self, aws: Aws, url: str, most: int, wait_s: int) -> list[Message]:
        answer: dict[str, Any] = aws.call(
            "sqs",
            "receive_message",
            QueueUrl=url,
            MaxNumberOfMessages=min(most, AT_ONCE),
            WaitTimeSeconds=wait_s,
        )
        return [
            Message(one["Body"], one["ReceiptHandle"], one["MessageId"])
            for one in answer.get("Messages", [])
        ]
