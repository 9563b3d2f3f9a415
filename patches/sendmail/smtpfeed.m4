PUSHDIVERT(-1)
dnl
dnl smtpfeed.m4: MAILER(`smtpfeed') hands mail to smtpfeed by LMTP (RFC 2033). Install it beside sendmail's own mailers, as
dnl /usr/share/sendmail/cf/mailer/smtpfeed.m4. It needs MAILER(`smtp') before it, for the rewriting rules.
dnl
dnl Macros to define before it; all have a default:
dnl	confSMTPFEED_SOCKET		where smtpfeed listens. sendmail refuses it if everybody may write to a directory of
dnl					its path
dnl	confSMTPFEED_PROGRAM		program mode: the command line that sendmail runs for each message in place of using the
dnl					socket, such as `smtpfeed stdio' or `smtpfeed stdio --via unix:/run/smtpfeed/lmtp.sock'
dnl	SMTPFEED_MAILER_PATH		program mode: the program itself
dnl	SMTPFEED_MAILER_USER		program mode: the user and group as whom it runs, such as `smtpfeed:smtpfeed'
dnl	SMTPFEED_MAILER_MAXRCPTS	r=: recipients of one transaction; sendmail's own default of 100 makes ten in a row of a
dnl					thousand, each as slow as its slowest recipient
dnl	SMTPFEED_MAILER_FLAGS		flags to add; MODIFY_MAILER_FLAGS(`SMTPFEED', `...') works too
dnl	SMTPFEED_MAILER_MAX, _MAXMSGS, _CHARSET, _QGRP, _LL, _ARGS	as SMTP_MAILER_...
dnl
dnl Flags: m many recipients in one transaction; D F M add the fields Date, From and Message-ID if they are missing; u keeps the
dnl case of local parts; X doubles the dots that begin lines; z is LMTP; 8 never re-encodes 8-bit content, which would break
dnl signatures. Not there on purpose: E (">From"), P (Return-Path), s (strips quotes), C, h, A and others that change addresses.
dnl
_DEFIFNOT(`_DEF_SMTPFEED_MAILER_FLAGS', `mDFMuXz8')
_DEFIFNOT(`SMTPFEED_MAILER_FLAGS', `')
_DEFIFNOT(`SMTPFEED_MAILER_MAXRCPTS', `200000')
dnl No limit: a line longer than this is cut in two with a "!". 998 octets are allowed (RFC 5322 section 2.1.1), and sendmail's own
dnl smtp mailer already cuts at 990.
_DEFIFNOT(`SMTPFEED_MAILER_LL', `0')
_DEFIFNOT(`confSMTPFEED_SOCKET', `/run/smtpfeed/lmtp.sock')
_DEFIFNOT(`SMTPFEED_MAILER_USER', `smtpfeed:smtpfeed')
ifdef(`confSMTPFEED_PROGRAM',
	`_DEFIFNOT(`SMTPFEED_MAILER_PATH', `/usr/sbin/smtpfeed')
	_DEFIFNOT(`SMTPFEED_MAILER_ARGS', `confSMTPFEED_PROGRAM')
	define(`_SMTPFEED_USER', ` U=SMTPFEED_MAILER_USER,')',
	`_DEFIFNOT(`SMTPFEED_MAILER_PATH', `[IPC]')
	_DEFIFNOT(`SMTPFEED_MAILER_ARGS', `FILE confSMTPFEED_SOCKET')
	define(`_SMTPFEED_USER', `')')
define(`_SMTPFEED_QGRP', `ifelse(defn(`SMTPFEED_MAILER_QGRP'),`',`', ` Q=SMTPFEED_MAILER_QGRP,')')dnl
POPDIVERT
#########################################
###   smtpfeed Mailer specification   ###
#########################################

Msmtpfeed,	P=SMTPFEED_MAILER_PATH, F=_MODMF_(CONCAT(_DEF_SMTPFEED_MAILER_FLAGS, SMTPFEED_MAILER_FLAGS), `SMTPFEED'), S=EnvFromSMTP/HdrFromSMTP, R=ifdef(`_ALL_MASQUERADE_', `EnvToSMTP/HdrFromSMTP', `EnvToSMTP'), E=\r\n, L=SMTPFEED_MAILER_LL,
		_OPTINS(`SMTPFEED_MAILER_MAX', `M=', `, ')_OPTINS(`SMTPFEED_MAILER_MAXMSGS', `m=', `, ')_OPTINS(`SMTPFEED_MAILER_MAXRCPTS', `r=', `, ')_OPTINS(`SMTPFEED_MAILER_CHARSET', `C=', `, ')T=DNS/RFC822/SMTP,_SMTPFEED_USER`'_SMTPFEED_QGRP
		A=SMTPFEED_MAILER_ARGS
