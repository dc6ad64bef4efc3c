package Weft::CountingHarness;

# prove's harness, which also writes "passed failed skipped" to the file that WEFT_PROVE_COUNTS names, and below it a
# line for each test that failed or was skipped. (prove -Iscripts/perl --harness Weft::CountingHarness)

use strict;
use warnings;
use parent 'TAP::Harness';

sub make_parser {
    my ($self, @job) = @_;
    my ($parser, $session) = $self->SUPER::make_parser(@job);
    my $name = $session->name;
    $parser->callback(
        test => sub {
            my ($test) = @_;
            push @{ $self->{weft_told} }, "failed: $name: " . $test->as_string if !$test->is_ok;
            push @{ $self->{weft_told} }, "skipped: $name: " . $test->as_string if $test->has_skip;
        }
    );
    return ($parser, $session);
}

sub runtests {
    my ($self, @tests) = @_;
    $self->{weft_told} = [];
    my $all = $self->SUPER::runtests(@tests);

    my ($passed, $failed, $skipped) = (0, 0, 0);
    for my $name ($all->descriptions) {
        my ($file) = $all->parsers($name);
        my $bad = $file->failed;
        # A file that died, or broke its plan, without a failed test of its own counts as one.
        if (!$bad && ($file->exit || $file->wait || $file->parse_errors)) {
            $bad = 1;
            push @{ $self->{weft_told} }, join ': ', "failed: $name", 'wait status ' . $file->wait, $file->parse_errors;
        }
        $failed += $bad;

        # What a file skips is reported as "ok … # SKIP"; a file that skips itself whole counts as one.
        my $skips = $file->skipped;
        $skipped += $file->skip_all ? 1 : $skips;
        push @{ $self->{weft_told} }, "skipped: $name: " . $file->skip_all if $file->skip_all;
        my $good = $file->passed - $skips;
        $passed += $good > 0 ? $good : 0;
    }

    if (my $path = $ENV{WEFT_PROVE_COUNTS}) {
        open my $out, '>', $path or die "$path: $!";
        print {$out} "$passed $failed $skipped\n", map { "$_\n" } @{ $self->{weft_told} };
        close $out or die "$path: $!";
    }
    return $all;
}

1;
