"""Hands one list message to an SMTP server with Mailman's own code: mailman.mta.bulk or mailman.mta.verp, as Debian packages it.

    mailman.py DIST-PACKAGES HOST PORT MAX_RECIPIENTS bulk|verp < RECIPIENTS

What these modules want of the rest of Mailman (configuration, decoration, signatures, interfaces) is put in their place here: a
whole Mailman needs some fifty packages and a database, and none of that changes what goes over the wire.
"""
import email
import sys
import types
from types import SimpleNamespace


def stand_in(name, **members):
    """Make a module that has these members and nothing else."""
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


class Mixin:
    """Neither decorates nor signs."""

    def decorate(self, mlist, msg, msgdata):
        pass

    def arc_sign(self, mlist, msg, msgdata):
        pass


def expand(template, mlist, values):
    """Stands for mailman.utilities.string.expand: what it does with verp_format."""
    for name, value in values.items():
        template = template.replace('${' + name + '}', value)
    return template


def stand_in_for_mailman(packages, host, port):
    mta = SimpleNamespace(
        smtp_host=host, smtp_port=port, smtp_user='', smtp_pass='', smtp_secure_mode='smtp', smtp_verify_cert='yes',
        smtp_verify_hostname='yes', max_sessions_per_connection='0', verp_format='${bounces}+${local}=${domain}')
    config = SimpleNamespace(mta=mta, devmode=SimpleNamespace(enabled='no'))
    stand_in('mailman', __path__=[packages + '/mailman'])  # what it does at first is to translate
    stand_in('public', public=lambda thing: thing)
    stand_in('lazr.config', as_boolean=lambda text: text == 'yes')
    stand_in('zope.interface', implementer=lambda interface: lambda thing: thing)
    stand_in('mailman.config', config=config)
    stand_in('mailman.interfaces.mta', IMailTransportAgentDelivery=None)
    stand_in('mailman.interfaces.configuration', InvalidConfigurationError=ValueError)
    stand_in('mailman.mta.arc_signing', ARCSigningMixin=type('Signing', (Mixin,), {}))
    stand_in('mailman.mta.decorating', DecoratingMixin=type('Decorating', (Mixin,), {}))
    stand_in('mailman.utilities.email', split_email=lambda a: (a.partition('@')[0], a.partition('@')[2].split('.')))
    stand_in('mailman.utilities.string', expand=expand)


CONTENT = """\
From: member@sender.test
To: list@lists.test
Subject: news
Message-ID: <1@sender.test>
List-Id: <list.lists.test>

For everybody.
"""


def main(packages, host, port, max_recipients, how):
    stand_in_for_mailman(packages, host, port)
    from mailman.mta.bulk import BulkDelivery
    from mailman.mta.verp import VERPDelivery
    mlist = SimpleNamespace(
        bounces_address='list-bounces@lists.test', members=SimpleNamespace(get_member=lambda address: None))
    msgdata = dict(recipients=set(sys.stdin.read().split()), verp=how == 'verp')
    agent = VERPDelivery() if how == 'verp' else BulkDelivery(int(max_recipients))
    refused = agent.deliver(mlist, email.message_from_string(CONTENT), msgdata)
    agent._connection.quit()  # as mailman.mta.deliver does
    if refused:
        sys.exit('refused: %s' % refused)


main(*sys.argv[1:])
