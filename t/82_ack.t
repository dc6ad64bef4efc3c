# Acknowledgements: what was acknowledged at "ack peer" is delivered, and once, whoever is killed meanwhile.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use Weft::Test;
use Weft::Test::Traffic;

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

sub run_killing {
    my ($what, $seconds, @nodes) = @_;
    my ($killed, $workers, $next, $victim) = (0, 0, time + 2, 0);
    my $restart;
    my $result = Weft::Test::Traffic::run(
        test      => $t, name => $what, channel => "sure:$what", nodes => \@nodes, seconds => $seconds,
        meanwhile => sub {
            if ($restart && time > $restart->{at}) {
                $restart->{node}->weftd->start;
                undef $restart;
            }
            return if time < $next;
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
        },
        afterwards => sub { $restart->{node}->weftd->start if $restart });
    Weft::Test::Traffic::judge($result, "weftd killed $killed times, a worker $workers times");
    return;
}

# WEFT_ACK_SECONDS: how long each of the two runs takes.
my $seconds = $ENV{WEFT_ACK_SECONDS} // 25;
$t->expect_in_log(qr/exited on signal 9/);
check 'two nodes, weftd and workers killed: nothing acknowledged is lost, nothing comes twice' => sub { run_killing('two',   $seconds, $a, $b) };
check 'three nodes, the same'                                                                => sub { run_killing('three', $seconds, @three) };

$t->finish;
done_testing;
