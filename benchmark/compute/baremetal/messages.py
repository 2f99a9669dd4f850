"""The queue of a fleet's tasks: SQS, a message a task, and a queue of dead letters behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.compute.aws.clients import RefusedError
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmark.compute.aws.clients import Aws

AT_ONCE = 10
RETENTION_S = 14 * 24 * 3600
_GONE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


@dataclass(frozen=True)
class Message:
    """A task that this process has until its time is up, unless it asks for more.

    `id` is SQS's; the same message has another receipt each time that it is received.
    """

    key: str
    receipt: str
    id: str


def remove_queues(aws: Aws, urls: Iterable[str]) -> None:
    """Delete queues with what is in them; one that is gone is no error."""
    for url in urls:
        try:
            aws.call("sqs", "delete_queue", QueueUrl=url)
        except RefusedError as error:
            if error.code not in _GONE:
                raise


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

        `note` is told of each as soon as it is there. A message that was taken `tries` times and
        never ended becomes a dead letter.
        """
        kept = {"MessageRetentionPeriod": str(RETENTION_S)}
        tags = {"automl-benchmark": name}
        dead = aws.call("sqs", "create_queue", QueueName=f"{name}-dead", Attributes=kept, tags=tags)
        note(str(dead["QueueUrl"]))
        asked = {"QueueUrl": dead["QueueUrl"], "AttributeNames": ["QueueArn"]}
        arn = aws.call("sqs", "get_queue_attributes", **asked)["Attributes"]["QueueArn"]
        attributes = kept | {
            "VisibilityTimeout": str(visibility_s),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": tries}),
        }
        made = aws.call("sqs", "create_queue", QueueName=name, Attributes=attributes, tags=tags)
        note(str(made["QueueUrl"]))
        return TaskQueue(str(made["QueueUrl"]), str(dead["QueueUrl"]))

    def send(self, aws: Aws, keys: Iterable[str]) -> None:
        """A message for each key.

        Raises:
            BenchmarkError: some were refused.
        """
        for batch in _batches(list(keys)):
            entries = [{"Id": str(n), "MessageBody": key} for n, key in enumerate(batch)]
            told = aws.call("sqs", "send_message_batch", QueueUrl=self.url, Entries=entries)
            for failed in told.get("Failed", []):
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
        for batch in _batches(list(messages)):
            entries = [
                {"Id": str(n), "ReceiptHandle": one.receipt, "VisibilityTimeout": seconds}
                for n, one in enumerate(batch)
            ]
            told = aws.call(
                "sqs", "change_message_visibility_batch", QueueUrl=self.url, Entries=entries
            )
            lost += [batch[int(one["Id"])].key for one in told.get("Failed", [])]
        return lost

    def is_empty(self, aws: Aws) -> bool:
        """Whether no message waits, and none is with a machine, in either queue."""
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        told = [
            aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(counts))
            for url in (self.url, self.dead_url)
        ]
        return not any(int(one["Attributes"][name]) for one in told for name in counts)

    def done(self, aws: Aws, message: Message, *, dead: bool = False) -> None:
        url = self.dead_url if dead else self.url
        aws.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=message.receipt)

    def _receive(self, aws: Aws, url: str, most: int, wait_s: int) -> list[Message]:
        told: dict[str, Any] = aws.call(
            "sqs",
            "receive_message",
            QueueUrl=url,
            MaxNumberOfMessages=min(most, AT_ONCE),
            WaitTimeSeconds=wait_s,
        )
        return [
            Message(one["Body"], one["ReceiptHandle"], one["MessageId"])
            for one in told.get("Messages", [])
        ]


def _batches(all_of: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(all_of), AT_ONCE):
        yield all_of[start : start + AT_ONCE]
