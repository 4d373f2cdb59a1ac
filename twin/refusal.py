"""Why the ledger refuses what a person asked for: each reason is a message id, said in the reader's language.

`RefusedError` (twin.errors) carries one with the names that stand in it, so that the page, the API and the command
line give the same reason.
"""

from enum import StrEnum


class Refusal(StrEnum):
    # rules
    CONFLICT = "The rules are at version {current}, your change began at version {base}: look at the difference first"
    NO_VERSION = "There is no version {version} of the rules; the latest is {latest}"
    NO_REASON = "Say why: a change without a reason is not saved"
    TOO_MUCH = "{devices} devices over {days} days do not fit into memory: choose fewer days or a narrower scope"
    TWICE = "Two rules have the id {rule}: rename one"
    # alarms
    NO_ALARM = "There is no alarm {alarm}"
    ACKNOWLEDGED = "Alarm {alarm} was already acknowledged by {by}"
    NO_TEXT = "The comment is empty: write what you found or did"
    SHELF_END = "The shelf must end after now and within {days} days"
    NOT_SHELVED = "Alarm {alarm} is not shelved"
    OUT_ALREADY = "{subject} is already out of service"
    IN_ALREADY = "{subject} is in service"
    SPAN = "A silence must end after it begins, and after now"
    NO_SILENCE = "There is no silence {silence} that could still be ended"
    # incidents
    NO_INCIDENT = "There is no incident {incident}"
    INCIDENT_TITLE = "Give the incident a title of at most {most} characters"
    INCIDENT_SPAN = "An incident must end after it begins, and begin in the past"
    INCIDENT_ALARMS = "Name at least one alarm that the incident is made from"
    INCIDENT_RUN = "No facts are known of this drill: it may not have been played here"
    LONG_TEXT = "The text is longer than {most} characters"
    CLOSED_ALREADY = "Incident {incident} is already closed"
    OPEN_ALREADY = "Incident {incident} is open"
    IMPORTED = "Incident {incident} was imported: it stays as it was made elsewhere"
    IMPORTED_ALREADY = "This report is already here as incident {incident}"
    NO_REPORT = "The file is no incident report of this system"
    ALTERED = "The data in the file are not as they were exported: they hash to {found}, the report says {printed}"
    # accounts
    NO_USER = "There is no active user {user}"
    USER_EXISTS = "There is already a user {user}: choose another name"
    USER_NAME = "{user} is no user name: 2 to 40 letters, digits, dots, hyphens or underscores"
    WEAK = "A password has {least} to {most} characters and is not the user's name"
    LAST_ADMIN = "{user} is the only admin left: make another one first"
    NO_LINK = "There is no kiosk link {link} that could still be revoked"
    LINK_NAME = "Name the kiosk link by the screen it is for"
    SIGN_IN = "User name or password is wrong"
    WAIT = "Too many attempts: try again in {seconds} s"
    SIGN_IN_FIRST = "Sign in first"
    MAY_NOT = "{user} may not do this: ask for another role"
    FORGED = "This does not come from a page of this server: a program sends the X-CSRF-Token of its session"
    DIFFER = "The two new passwords differ"
