// Command hosts-patched builds sendmail and Postfix's queue manager from Debian's sources, once as they are and once with our
// patches (patches/sendmail/source, patches/postfix/source), and runs both with the same submissions against an LMTP sink.
//
// It promises to fail when a patched sendmail writes another queue file (but for times and ids), answers another line or delivers
// in another order than the stock one, when a recipient does not arrive exactly once, and when the patched queue manager needs more
// than one transaction for a list. It prints what each needed. It needs root, apt, a C compiler and Debian's Postfix; sendmail is
// never installed. See build for what goes below the cache directory. It is no part of the tests, because it takes minutes.
package main
