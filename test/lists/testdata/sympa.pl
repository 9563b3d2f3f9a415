#!/usr/bin/perl
# Hands one list message to sendmail(1) with Sympa's own code, as Debian packages it: Sympa::Spool::Outgoing divides the
# recipients into packets, and Sympa::Mailer starts a sendmail for each.
#
#     sympa.pl LIB SENDMAIL SENDMAIL_ARGS NRCPT AVG MAXSMTP < RECIPIENTS
#
# What the two want of the rest of Sympa (configuration, log, spool, processes) is put in its place here: a whole Sympa needs a
# database and a web server, and none of that changes what sendmail is given.
use strict;
use warnings;

my ($lib, $sendmail, $args, $nrcpt, $avg, $maxsmtp) = @ARGV;

BEGIN {
    $INC{"$_.pm"} = $0 for map { s{::}{/}gr } qw(Conf Class::Singleton Sympa::Constants Sympa::Log Sympa::Process
        Sympa::LockedFile Sympa::Message Sympa::Spool Sympa::Tools::File);
}

package Class::Singleton {
    my %of;
    sub instance { $of{$_[0]} //= $_[0]->_new_instance }
}

package Conf {
    our %Conf;
    sub get_robot_conf { $Conf{$_[1]} }
}

package Sympa::Log {
    sub instance { bless {}, shift }
    sub syslog   { }
}

# As Sympa::Process: sync_child forgets those of its hash that have ended, wait_child waits for one that ends.
package Sympa::Process {
    my $self = bless {ended => {}};
    sub instance { $self }
    sub fork     { CORE::fork() }

    sub reap {
        my ($pid) = @_;
        $self->{ended}{$pid} = 1 if $pid > 0;
        return $pid;
    }

    sub sync_child {
        my ($self, %o) = @_;
        1 while reap(waitpid(-1, POSIX::WNOHANG())) > 0;
        delete $o{hash}{$_} for keys %{$self->{ended}};
    }
    sub wait_child { reap(waitpid(-1, 0)) }
}

package Message {
    sub as_string { ${$_[0]}{text} }
    sub get_id    { 'message' }
}

package main;

unshift @INC, $lib;
require Sympa::Spool::Outgoing;
require Sympa::Mailer;
%Conf::Conf = (sendmail => $sendmail, sendmail_args => $args, nrcpt => $nrcpt, avg => $avg, maxsmtp => $maxsmtp);

my $message = bless {
    envelope_sender => 'list-owner@lists.test',
    text            => "From: member\@sender.test\nTo: list\@lists.test\nSubject: news\nMessage-Id: <1\@sender.test>\n"
        . "Date: Sun, 22 Nov 2026 12:00:00 +0000\n\nFor everybody.\n",
}, 'Message';
chomp(my @to = <STDIN>);
my $mailer = Sympa::Mailer->instance;
for my $packet (Sympa::Spool::Outgoing::_get_recipient_tabs_by_domain('*', @to)) {
    $mailer->store($message, $packet, tag => '0') or die 'a packet was not taken';
}
1 while waitpid(-1, 0) > 0;
