# What `make conformance` says of a run must not be better than the run: tests/conformance/report.pl over reports that
# were made up.
use v5.30;
use warnings;

use File::Basename qw(dirname);
use File::Temp ();
use JSON::PP qw(encode_json);
use Test::More;

my $reader = dirname(__FILE__) . '/../tests/conformance/report.pl';

# (exit status, output) for an agent's asked cases and results: case => [behaviour, behaviour of the close].
sub report_of {
    my ($asked, $results) = @_;
    my $folder = File::Temp->newdir;
    my %index;
    for my $case (keys %$results) {
        my ($behavior, $close) = @{ $results->{$case} };
        $index{$case} = {
            behavior => $behavior, behaviorClose => $close, remoteCloseCode => 1000, reportfile => "case_$case.json",
        };
        spew("$folder/case_$case.json", encode_json({ result => "story of $case", resultClose => '' }));
    }
    spew("$folder/asked.json", encode_json({ weft => $asked })) if $asked;
    spew("$folder/index.json", encode_json({ weft => \%index })) if %index;
    my $output = qx{$^X '$reader' '$folder' 2>&1};
    return ($?, $output);
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
    return;
}

my $ok = ['OK', 'OK'];
my @runs = (
    ['every case OK', ['1.1.1', '10.1.1'], { '1.1.1' => $ok, '10.1.1' => $ok }, 1, qr/^2 cases, all conforming$/m],
    ['a case that is not strict', ['6.4.1'], { '6.4.1' => ['NON-STRICT', 'OK'] }, 1, qr/6\.4\.1: NON-STRICT.*\n +story of 6\.4\.1/],
    ['a case for information', ['7.13.1'], { '7.13.1' => ['INFORMATIONAL', 'INFORMATIONAL'] }, 1, qr/7\.13\.1: INFORMATIONAL/],
    ['a case that failed', ['1.1.1', '2.1'], { '1.1.1' => $ok, '2.1' => ['FAILED', 'OK'] }, 0, qr/2\.1: FAILED/],
    ['a bad end of a good case', ['2.1'], { '2.1' => ['OK', 'WRONG CODE'] }, 0, qr/2\.1: WRONG CODE/],
    ['an unclean end', ['2.1'], { '2.1' => ['OK', 'UNCLEAN'] }, 0, qr/2\.1: UNCLEAN/],
    ['a bad case with an informational end', ['2.1'], { '2.1' => ['FAILED', 'INFORMATIONAL'] }, 0, qr/2\.1: FAILED/],
    ['compression not negotiated', ['12.1.1'], { '12.1.1' => ['UNIMPLEMENTED', 'OK'] }, 0, qr/UNIMPLEMENTED/],
    ['a case that did not run', ['1.1.1', '1.1.2'], { '1.1.1' => $ok }, 0, qr/1\.1\.2: MISSING/],
    ['an index without any case', ['1.1.1'], {}, 0, qr/1\.1\.1: MISSING/],
    ['a suite that never began', undef, {}, 0, qr/no case was run/],
);
for my $run (@runs) {
    my ($what, $asked, $results, $good, $says) = @$run;
    my ($status, $output) = report_of($asked, $results);
    is($status == 0 ? 1 : 0, $good, "$what: the run " . ($good ? 'conforms' : 'does not conform'));
    like($output, $says, "$what: the output says so");
}

my (undef, $output) = report_of(['2.10', '2.9'], { '2.9' => ['NON-STRICT', 'OK'], '2.10' => ['NON-STRICT', 'OK'] });
like($output, qr/weft 2\.9:.*weft 2\.10:/s, 'cases are in the order of their numbers');

done_testing;
