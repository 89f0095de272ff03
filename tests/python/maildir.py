"""Reads a Maildir as any mail reader does, and prints one JSON object for each message in it.

    maildir.py FOLDER
"""

import email.policy
import email.utils
import json
import mailbox
import sys


def parse(file):
    return email.message_from_binary_file(file, policy=email.policy.default)


def told(key, message):
    parts = list(message.walk())
    text = message.get_body(("plain",))
    return {
        "file": key,
        "from": email.utils.parseaddr(message["From"])[1].split("@")[0],
        "to": [to.addr_spec.split("@")[0] for to in message["To"].addresses],
        "subject": message["Subject"],
        "sent_at": message["Date"].datetime.timestamp(),
        "id": message["Message-ID"].strip("<>").split("@")[0],
        "in_reply_to": message["In-Reply-To"],
        "number": message["X-Depot-Number"],
        "body": text.get_content() if text else None,
        "attachments": {
            part.get_filename(): part.get_content().hex() for part in message.iter_attachments()
        },
        "defects": [repr(defect) for part in parts for defect in part.defects],
    }


for key, message in mailbox.Maildir(sys.argv[1], factory=parse, create=False).items():
    print(json.dumps(told(key, message)))
