dnl settings.m4: what sendmail is told so that a large list reaches smtpfeed whole, at once and unchanged. Install it as
dnl /etc/mail/m4/smtpfeed.m4, and include it in sendmail.mc just before the line MAILER_DEFINITIONS:
dnl	include(`/etc/mail/m4/smtpfeed.m4')dnl
dnl README.md says why for each line. A define of yours behind that line counts more than one in here.
dnl
dnl Everything that is not for this machine goes through smtpfeed, except what a mailertable sends elsewhere.
define(`SMART_HOST', `smtpfeed:[localhost]')dnl
dnl No DNS question for each recipient while mail comes in: smtpfeed asks them all, at once.
FEATURE(`nocanonify')dnl
dnl Twenty processes for what waits in the queue. By itself a queue run is one process, which hands one message over after the
dnl other: each would wait for the slowest recipient of the one before.
QUEUE_GROUP(`mqueue', `P='ifdef(`QUEUE_DIR', `QUEUE_DIR', `/var/spool/mqueue')`, F=f, R=20')dnl
dnl Successes until the queue file is written again. Those since the last time are sent twice when sendmail itself dies.
define(`confCHECKPOINT_INTERVAL', `1000')dnl
dnl smtpfeed answers the last recipient at the latest 540 s after the end of data (lmtp.budget); this is for each reply.
define(`confTO_DATAFINAL', `1h')dnl
define(`confTO_RCPT', `1h')dnl
dnl Any number of recipients a message.
define(`confMAX_RCPTS_PER_MESSAGE', `0')dnl
dnl A machine that is busy with a list must not stop sending it. (Load averages; the defaults are 8 and 12 times the processors.)
define(`confQUEUE_LA', `100')dnl
define(`confREFUSE_LA', `200')dnl
