#!/usr/bin/perl
# report.pl FOLDER : reads the reports that Autobahn|Testsuite has left in FOLDER; prints, for each agent, how many cases
# of each chapter behaved how, and every case that is not OK with what the suite says about it. Exit status 0 if all cases
# that asked.json names are there and good: OK, NON-STRICT or INFORMATIONAL, and so was the way the connection ended.
use v5.30;
use warnings;

use JSON::PP ();

my %CHAPTER = (
    1 => 'framing', 2 => 'pings and pongs', 3 => 'reserved bits', 4 => 'opcodes', 5 => 'fragmentation',
    6 => 'UTF-8', 7 => 'closing', 9 => 'limits and speed', 10 => 'automatic fragmentation',
    12 => 'compression, several texts', 13 => 'compression, several parameters',
);
my @GOOD = ('OK', 'NON-STRICT', 'INFORMATIONAL');
my %GOOD = map { $_ => 1 } @GOOD;

sub read_json {
    my ($path) = @_;
    open my $file, '<:raw', $path or return;
    local $/;
    return eval { JSON::PP->new->utf8->allow_nonref->decode(<$file>) };
}

sub by_number {
    my ($left, $right) = @_;
    my @left  = split /\./, $left;
    my @right = split /\./, $right;
    while (@left && @right) {
        my $order = shift(@left) <=> shift(@right);
        return $order if $order;
    }
    return @left <=> @right;
}

# What a case came to: the worse of what was exchanged and of how it ended.
sub verdict {
    my ($result) = @_;
    return 'MISSING' unless $result;
    my @said = map { $_ // 'MISSING' } @{$result}{qw(behavior behaviorClose)};
    my ($bad) = grep { !$GOOD{$_} } @said;
    return $bad // (grep { $_ ne 'OK' } @said)[0] // 'OK';
}

my $folder = shift // die "usage: report.pl FOLDER\n";
my $asked  = read_json("$folder/asked.json") // {};
my $index  = read_json("$folder/index.json") // {};
my $count  = 0;
my $bad    = 0;

binmode STDOUT, ':encoding(UTF-8)';
for my $agent (sort keys %$asked) {
    my $results = $index->{$agent} // {};
    my (%of, %columns, @odd);
    for my $case (sort { by_number($a, $b) } @{ $asked->{$agent} }) {
        my $verdict = verdict($results->{$case});
        my ($chapter) = split /\./, $case;
        $of{$chapter}{$verdict}++;
        $columns{$verdict}++;
        push @odd, $case unless $verdict eq 'OK';
        $count++;
        $bad++ unless $GOOD{$verdict};
    }
    my @columns = (@GOOD, grep { !$GOOD{$_} } sort keys %columns);
    printf "\n%-42s%s\n", $agent, join '', map { sprintf '%*s', 2 + length, $_ } @columns;
    for my $chapter (sort { $a <=> $b } keys %of) {
        printf "%-42s%s\n", sprintf('%5s  %s', "$chapter.*", $CHAPTER{$chapter} // ''),
            join '', map { sprintf '%*d', 2 + length, $of{$chapter}{$_} // 0 } @columns;
    }
    printf "%-42s%s\n", '  all', join '', map { sprintf '%*d', 2 + length, $columns{$_} // 0 } @columns;
    for my $case (@odd) {
        my $result = $results->{$case};
        my $told   = $result && $result->{reportfile} ? read_json("$folder/$result->{reportfile}") : undef;
        printf "\n%s %s: %s", $agent, $case, verdict($result);
        printf ' (behaviour %s, close %s, close code %s)', map { $_ // 'none' }
            @{$result}{qw(behavior behaviorClose remoteCloseCode)}
            if $result;
        print "\n";
        printf "    %s\n", $_ for grep { defined && length } @{ $told // {} }{qw(result resultClose)};
    }
}
my $verdict = $bad ? "$bad of them not conforming" : 'all conforming';
$verdict = 'no case was run' unless $count;
say "\n$count cases, $verdict";
exit !($count && !$bad);
