# Acknowledgements: what was acknowledged at "ack peer" is delivered, and once, whoever is killed meanwhile.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Handle;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my %with = (
    location => "weft_ticket key=$key; weft_rate off;",
    rules    => "weft_channel sure:* { publish on; history 100000 10m; ack peer; }\n"
        . "weft_channel last:* { publish on; deliver latest; }\n"
        . "weft_channel kept:* { publish on; history 100 10m; }\nweft_channel ** { publish on; }\n",
);
my $alone   = $t->node('alone', workers => 2, %with);
my ($a, $b) = $t->mesh('a', 'b', { %with, workers => 2, weftd_yaml => "\n" });
my @three   = $t->mesh('c', 'd', 'e', { %with, workers => 2, weftd_yaml => "\n" });

# The answer to a publish, once it is "published".
sub publish {
    my ($client, $channel, $data, %more) = @_;
    my $answer;
    wait_for { ($answer = $client->call('publish', channel => $channel, data => $data, %more))->{type} eq 'published' }
        or die "not published: $answer->{raw}\n";
    return $answer->{payload};
}

check 'a publication that is repeated is answered with the first and delivered once' => sub {
    my ($one, $two) = $alone->client_per_worker;
    for my $channel ('chat:repeat', 'kept:repeat') {
        $two->subscribe($channel);
        my $first = $one->must('publish', channel => $channel, data => 1, message_id => 'm-1');
        is($first->{message_id}, 'm-1', 'published under its id');
        my $again = $two->must('publish', channel => $channel, data => 1, message_id => 'm-1');
        is_deeply($again, $first, 'repeated by the same user on another connection: the same answer');
        my $other = $alone->client(sub => 'mallory');
        $other->must('publish', channel => $channel, data => 2, message_id => 'm-1');
        is($two->event->{data}, 1, 'it comes');
        is($two->event->{data}, 2, 'once; and what another user publishes under that id is another publication');
    }
    is(scalar @{ $two->must('history', channel => 'kept:repeat')->{events} }, 2, 'and in history');
};

check 'a back end may repeat a publication under an Idempotency-Key' => sub {
    my $reader = $alone->client;
    $reader->subscribe('kept:http');
    my @answers = map { $alone->publish('kept:http', '1', 'Idempotency-Key' => 'order-1') } 1 .. 2;
    is($_->{status}, 202, 'accepted') for @answers;
    is_deeply($answers[1]{json}, $answers[0]{json}, 'the same answer');
    is($answers[0]{json}{message_id}, 'order-1', 'the key is the message_id');
    $alone->publish('kept:http', '2');
    is_deeply([ map { $reader->event->{data} } 1, 2 ], [ 1, 2 ], 'delivered once');
    is($alone->publish('kept:http', '1', 'Idempotency-Key' => $_)->{status}, 400, "not \"$_\"") for 'x' x 65, 'a b';
};

check 'a publication is repeated at another node' => sub {
    my ($here, $there) = ($a->client, $b->client);
    $_->subscribe('kept:nodes') for $here, $there;
    $here->must('publish', channel => 'kept:nodes', data => 1, message_id => 'm-1');
    is($there->event->{data}, 1, 'it has come to the other node');
    my $again = $there->must('publish', channel => 'kept:nodes', data => 1, message_id => 'm-1');
    is($again->{message_id}, 'm-1', 'answered');
    $there->must('publish', channel => 'kept:nodes', data => 2);
    is($here->event->{data}, 1, 'once here');
    is($_->event->{data}, 2, 'and that is all') for $here, $there;
};

check 'without a peer nothing is published' => sub {
    my $client = $alone->client;
    my $answer = $client->call('publish', channel => 'sure:alone', data => 1, message_id => 'm-1');
    is($answer->{payload}{code}, 4017, 'refused with 4017');
    like($answer->{payload}{message}, qr/"ack peer".*no peer/, 'says why');
    ok($answer->{payload}{retry_after_ms}, 'and when to try again');
    is_deeply($client->must('history', channel => 'sure:alone')->{events}, [], 'nothing is there');
    my $http = $alone->publish('sure:alone', '1');
    is($http->{status}, 503, 'a back end gets 503');
    ok(wait_for { $alone->weftd->log_text =~ /no_peer_to_acknowledge/ }, 'the log says it');
    $client->call('publish', channel => 'sure:alone', data => 1);
    sleep 0.6;    # longer than weftd needs to look again
    is(scalar(() = $alone->weftd->log_text =~ /no_peer_to_acknowledge/g), 1, 'once');
};

check 'a peer that stands still: refused in time, and the repeat is delivered once' => sub {
    my $client = $a->client;
    my $reader = $a->client;
    $reader->subscribe('sure:still');
    publish($client, 'sure:still', 0);
    $b->weftd->signal('STOP');
    my $began  = time;
    my $answer = $client->call('publish', channel => 'sure:still', data => 1, message_id => 'm-1');
    note(sprintf 'answered after %.1f s', time - $began);
    is($answer->{payload}{code}, 4017, 'nobody confirms: 4017');
    $b->weftd->signal('CONT');
    is(publish($client, 'sure:still', 1, message_id => 'm-1')->{message_id}, 'm-1', 'the repeat is acknowledged');
    publish($client, 'sure:still', 2);
    is_deeply([ map { $reader->event->{data} } 1 .. 3 ], [ 0, 1, 2 ], 'delivered once');
    my $there = $b->client;
    is_deeply([ map { $_->{data} } @{ $there->must('history', channel => 'sure:still')->{events} } ], [ 0, 1, 2 ], 'the peer has it');
};

check 'a channel that delivers the latest gives it to whoever comes' => sub {
    my ($one, $two) = $alone->client_per_worker;
    is($one->subscribe('last:price')->{replay}, 0, 'there is none at first');
    publish($one, 'last:price', $_) for 1 .. 3;
    is_deeply([ map { $one->event->{data} } 1 .. 3 ], [ 1, 2, 3 ], 'one who is there gets all');
    for my $late ($two, $alone->client, $one) {
        my $subscribed = $late->subscribe('last:price');
        is($subscribed->{replay}, 1, 'one is announced');
        ok(!$subscribed->{recovered}, 'which is no resume');
        is($late->event->{data}, 3, 'the newest comes at once');
    }
    publish($one, 'last:price', 4);
    is($two->event->{data}, 4, 'then what is new');
    my $position = $one->event->{position};
    is($alone->client->subscribe('last:price', position => $position)->{replay}, 0, 'who has it resumes as ever');
    is(scalar @{ $one->must('history', channel => 'last:price')->{events} }, 1, 'history keeps that one');
};

# ---- kill -9 while publishers run -----------------------------------------------------------------------------------

# A publisher as a client library would be: one publication at a time under an id of its own, repeated until it is
# acknowledged; when its connection ends, it goes to the next node. It writes a line for each one that is acknowledged.
sub publisher {
    my ($name, $channel, $file, $until, @nodes) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    open my $out, '>', $file or POSIX::_exit(1);
    $out->autoflush;
    my ($client, $number, $sent) = (undef, 1, 0);
    local $Weft::Client::TIMEOUT = 5;
    while (time < $until) {
        my $answer = eval {
            $client //= $nodes[ $sent % @nodes ]->client(sub => $name);
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

# A reader that resumes, at whatever node, when its connection ends; counts what comes.
package Reader {
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
        } // do { undef $self->{client}; Time::HiRes::sleep(0.05); 0 };
    }
}

sub run_killing {
    my ($what, $seconds, @nodes) = @_;
    my $channel = "sure:$what";
    # For each node a reader that stays there, and one that goes around.
    my @readers = ((map { Reader->new($channel, $_) } @nodes), Reader->new($channel, @nodes));
    $readers[-1]{roams} = time;
    for my $reader (@readers) {
        wait_for { $reader->step; $reader->{client} } or die "no reader\n";
    }
    my $folder = $t->prefix;
    my $until  = time + $seconds;
    my %pids   = map { publisher("p$_", $channel, "$folder/$what-p$_", $until, @nodes) => $_ } 1 .. 4;
    my ($killed, $workers, $next, $victim) = (0, 0, time + 2, 0);
    my $restart;
    while (time < $until) {
        for my $reader (@readers) {
            for (1 .. 50) { last unless $reader->step }
        }
        if ($restart && time > $restart->{at}) {
            $restart->{node}->weftd->start;
            undef $restart;
        }
        next if time < $next;
        $next = time + 5;    # one failure at a time: the node that comes back fills up before the next is killed
        my $node = $nodes[ $victim++ % @nodes ];
        if ($victim % 3 == 0) {
            my ($worker) = $node->nginx->workers;
            kill KILL => $worker;
            ++$workers;
        }
        else {
            $node->weftd->crash;
            ++$killed;
            $restart = { node => $node, at => time + 0.5 };
        }
    }
    $restart->{node}->weftd->start if $restart;
    waitpid $_, 0 for keys %pids;
    my ($sent, %acknowledged) = (0);
    for my $file (map { "$folder/$what-p$_" } 1 .. 4) {
        for (split /\n/, slurp($file)) { /^sent (\d+)/ ? ($sent += $1) : $acknowledged{$_}++ }
    }
    $_->wait_linked for @nodes;
    # Until every reader has everything; or nothing more comes.
    $readers[-1]{roams} = 0;
    my $quiet = time + 30;
    while (time < $quiet && grep { my $got = $_->{got}; grep { !$got->{$_} } keys %acknowledged } @readers) {
        for my $reader (@readers) { $reader->step for 1 .. 50 }
    }
    my $count = keys %acknowledged;
    my ($missing, $twice, $moves, $lost) = (0, 0, 0, 0);
    for my $reader (@readers) {
        $missing += grep { !$reader->{got}{$_} } keys %acknowledged;
        $twice   += grep { $reader->{got}{$_} > 1 } keys %{ $reader->{got} };
        $moves   += $reader->{moves};
        $lost    += $reader->{lost};
    }
    diag("$what, $seconds s: weftd killed $killed times, a worker $workers times; $sent publishes sent, $count acknowledged; "
            . @readers . " readers came back $moves times: $missing acknowledged ones lost, $twice delivered twice, $lost losses told");
    cmp_ok($count, '>', 100, 'much was acknowledged');
    is($missing, 0, 'each acknowledged publication came to each reader');
    is($twice,   0, 'and none twice');
    for my $node (@nodes) {
        my $client = $node->client;
        my (%held, $after);
        for (;;) {
            my $page = $client->must('history', channel => $channel, defined $after ? (after => $after) : ());
            $held{ $_->{data} }++ for @{ $page->{events} };
            $after = $page->{position};
            last if $page->{complete};
        }
        is(scalar(grep { !$held{$_} } keys %acknowledged), 0, "node $node->{name} holds them all");
        is(scalar(grep { $_ > 1 } values %held), 0, 'each once');
    }
    return;
}

# WEFT_ACK_SECONDS: how long each of the two runs takes.
my $seconds = $ENV{WEFT_ACK_SECONDS} // 25;
$t->expect_in_log(qr/exited on signal 9/);
check 'two nodes, weftd and workers killed: nothing acknowledged is lost, nothing comes twice' => sub { run_killing('two',   $seconds, $a, $b) };
check 'three nodes, the same'                                                                => sub { run_killing('three', $seconds, @three) };

$t->finish;
done_testing;
