# Publishers and readers that go on while a test breaks things, and the count of what came of it.
#
#     my $result = Weft::Test::Traffic::run(
#         test => $t, name => 'two', channel => 'sure:two', nodes => [ $a, $b ], seconds => 20,
#         meanwhile => sub { … },        # called again and again: breaks something, or mends it
#         afterwards => sub { … });      # mends what is still broken
#     Weft::Test::Traffic::judge($result);
package Weft::Test::Traffic;
use v5.30;
use warnings;

use IO::Handle;
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);
use Weft::Client;
use Weft::Test::Process;

# A publisher as a client library would be: one publication at a time under an id of its own, repeated until it is
# acknowledged; when its connection ends, it goes to the next node. It writes a line for each one that is acknowledged.
sub publisher {
    my ($name, $first, $channel, $file, $until, @nodes) = @_;
    my $test = $$;
    my $pid  = fork // die "fork: $!\n";
    return $pid if $pid;
    Weft::Test::Process::leave_guard();
    open my $out, '>', $file or POSIX::_exit(1);
    $out->autoflush;
    my ($client, $number, $sent) = (undef, 1, 0);
    local $Weft::Client::TIMEOUT = 5;
    while (time < $until && getppid == $test) {
        my $answer = eval {
            $client //= $nodes[ ($first + $sent) % @nodes ]->client(sub => $name);
            ++$sent;
            $client->call('publish', channel => $channel, data => "$name-$number", message_id => "$name-$number");
        };
        if (!$answer) {
            ++$sent;
            eval { $client->hang_up } if $client;
            undef $client;
            sleep 0.05;
        }
        elsif ($answer->{type} eq 'published') {
            print {$out} "$name-$number\n";
            ++$number;
            sleep 0.02;    # no more than the readers here can read
        }
        else {
            sleep 0.05;
            # Every other time elsewhere: what was refused here may be in history all the same.
            if (rand() < 0.3) { eval { $client->hang_up }; undef $client }
        }
    }
    print {$out} "sent $sent\n";
    POSIX::_exit(0);
}

# For each node a reader that stays there, and one that goes around; four publishers. Returns what happened, when every
# reader has got all that was acknowledged, or nothing more comes.
sub run {
    my (%o) = @_;
    my @nodes   = @{ $o{nodes} };
    my $channel = $o{channel};
    my @readers = ((map { Weft::Test::Traffic::Reader->new($channel, $_) } @nodes), Weft::Test::Traffic::Reader->new($channel, @nodes));
    $readers[-1]{roams} = time;
    for my $reader (@readers) {
        Weft::Test::wait_for(sub { $reader->step; $reader->{client} }) or die "no reader\n";
    }
    my $until = time + $o{seconds};
    my @files = map { $o{test}->prefix . "/$o{name}-p$_" } 1 .. 4;
    my @pids  = map { publisher("p$_", $_, $channel, $files[ $_ - 1 ], $until, @nodes) } 1 .. 4;
    while (time < $until) {
        for my $reader (@readers) {
            for (1 .. 50) { last unless $reader->step }
        }
        $o{meanwhile}->();
    }
    $o{afterwards}->() if $o{afterwards};
    waitpid $_, 0 for @pids;
    my ($sent, %acknowledged) = (0);
    for my $file (@files) {
        for (split /\n/, Weft::Test::slurp($file)) { /^sent (\d+)/ ? ($sent += $1) : $acknowledged{$_}++ }
    }
    $_->wait_linked for @nodes;
    $readers[-1]{roams} = 0;
    my $quiet = time + 30;
    while (time < $quiet && grep { my $got = $_->{got}; grep { !$got->{$_} } keys %acknowledged } @readers) {
        for my $reader (@readers) { $reader->step for 1 .. 50 }
    }
    my %result = (name => $o{name}, seconds => $o{seconds}, channel => $channel, nodes => \@nodes, sent => $sent,
        acknowledged => \%acknowledged, readers => scalar @readers, map { $_ => 0 } qw(missing twice twice_around moves lost));
    for my $reader (@readers) {
        $result{missing} += grep { !$reader->{got}{$_} } keys %acknowledged;
        my $twice = $reader == $readers[-1] ? 'twice_around' : 'twice';
        $result{$twice} += grep { $reader->{got}{$_} > 1 } keys %{ $reader->{got} };
        $result{$_} += $reader->{$_} for qw(moves lost);
    }
    return \%result;
}

# What a node's history of a channel holds: data => how often.
sub held {
    my ($node, $channel) = @_;
    my $client = $node->client;
    my (%held, $after);
    for (;;) {
        my $page = $client->must('history', channel => $channel, defined $after ? (after => $after) : ());
        $held{ $_->{data} }++ for @{ $page->{events} };
        $after = $page->{position};
        last if $page->{complete};
    }
    return \%held;
}

# `what` says what was broken, for the figures.
sub judge {
    my ($r, $what) = @_;
    my $count = keys %{ $r->{acknowledged} };
    Test::More::diag("$r->{name}, $r->{seconds} s: $what; $r->{sent} publishes sent, $count acknowledged; $r->{readers} readers came back "
            . "$r->{moves} times: $r->{missing} acknowledged ones lost, $r->{twice} delivered twice to readers that stay, $r->{twice_around} to the one that goes around, $r->{lost} losses told");
    Test::More::cmp_ok($count, '>', 100, 'much was acknowledged');
    Test::More::is($r->{missing}, 0, 'each acknowledged publication came to each reader');
    # The one that goes around may have had it from a node that nobody could ask (docs/reliability.md).
    Test::More::is($r->{twice}, 0, 'and none twice to a reader that stays at its node');
    for my $node (@{ $r->{nodes} }) {
        my $held = held($node, $r->{channel});
        Test::More::is(scalar(grep { !$held->{$_} } keys %{ $r->{acknowledged} }), 0, "node $node->{name} holds them all");
        Test::More::is(scalar(grep { $_ > 1 } values %$held), 0, 'each once');
    }
    return;
}

# A reader that resumes, at whatever node, when its connection ends; counts what comes.
package Weft::Test::Traffic::Reader;
use v5.30;
use warnings;

use Time::HiRes qw(sleep time);

sub new {
    my ($class, $channel, @nodes) = @_;
    return bless { channel => $channel, nodes => \@nodes, got => {}, at => int(rand @nodes), lost => 0, moves => -1 }, $class;
}
sub step {
    my ($self) = @_;
    eval {
        if (!$self->{client}) {
            my $node = $self->{nodes}[ ++$self->{at} % @{ $self->{nodes} } ];
            my $client = $node->client;
            my $said = $client->must('subscribe', channel => $self->{channel},
                defined $self->{position} ? (position => $self->{position}) : ());
            $self->{lost}++ if defined $self->{position} && !$said->{recovered};
            $self->{position} = $said->{position};
            $self->{client} = $client;
            $self->{moves}++;
        }
        if ($self->{roams} && time > $self->{roams}) {
            $self->{roams} = time + 1.5;
            $self->{client}->hang_up;
            die "goes elsewhere\n";
        }
        my $message = $self->{client}->next_message(timeout => 0.002, quiet => 1);
        die "ended\n" if !$message && $self->{client}->eof;
        die "closed\n" if !$message && $self->{client}{close_frame};
        if ($message && $message->{type} eq 'event') {
            $self->{got}{ $message->{payload}{data} }++;
            $self->{position} = $message->{payload}{position};
            return 1;
        }
        $self->{lost}++ if $message && $message->{type} eq 'gap';
        return 0;
    } // do { undef $self->{client}; sleep(0.05); 0 };
}

1;
