package Weft::CountingHarness;

# prove's harness, which also writes "passed failed skipped" to the file that WEFT_PROVE_COUNTS names.
# (prove -Iscripts/perl --harness Weft::CountingHarness)

use strict;
use warnings;
use parent 'TAP::Harness';

sub runtests {
    my ($self, @tests) = @_;
    my $all = $self->SUPER::runtests(@tests);

    my ($passed, $failed, $skipped) = (0, 0, 0);
    for my $file ($all->parsers) {
        my $bad = $file->failed;
        # A file that died, or broke its plan, without a failed test of its own counts as one.
        $bad = 1 if !$bad && ($file->exit || $file->wait || $file->parse_errors);
        $failed += $bad;

        # What a file skips is reported as "ok … # SKIP"; a file that skips itself whole counts as one.
        my $skips = $file->skipped;
        $skipped += $file->skip_all ? 1 : $skips;
        my $good = $file->passed - $skips;
        $passed += $good > 0 ? $good : 0;
    }

    if (my $path = $ENV{WEFT_PROVE_COUNTS}) {
        open my $out, '>', $path or die "$path: $!";
        print {$out} "$passed $failed $skipped\n";
        close $out or die "$path: $!";
    }
    return $all;
}

1;
