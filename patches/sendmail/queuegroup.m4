dnl queuegroup.m4: lists in several envelopes, which are handed over side by side. Include it after settings.m4.
dnl README.md says what for. The directory must be made: install -d -o smmta -g smmsp -m 2750 /var/spool/mqueue/smtpfeed
_DEFIFNOT(`confSMTPFEED_QUEUE', `/var/spool/mqueue/smtpfeed')dnl
dnl r: recipients an envelope. R: processes that work on this queue in a queue run.
QUEUE_GROUP(`smtpfeed', `P='confSMTPFEED_QUEUE`, F=f, r=1000, R=10')dnl
define(`SMTPFEED_MAILER_QGRP', `smtpfeed')dnl
