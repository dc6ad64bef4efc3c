# Presence on two nodes: who is there, who comes and goes; after workers, weftd and links are lost.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t      = Weft::Test->new;
my $key    = $t->key_file;
my ($a, $b) = $t->mesh(
    'a', 'b',
    {   location   => "weft_ticket key=$key; weft_rate off;",
        rules      => "weft_channel room:* { publish on; presence on debounce=2s; }\n"
            . "weft_channel slow:* { presence on debounce=8s; }\n"
            . "weft_channel flap:* { presence on debounce=10m; }\n"
            . "weft_channel kept:* { publish on; history 100 10m; presence on debounce=1s; }\n"
            . "weft_channel hall:* { presence counts; }\nweft_channel ** { publish on; }\n",
        weftd_yaml => "  member_timeout: 12s\n",
        workers    => 2,
    });

*served = \&Weft::Test::Node::served;

sub join_of  { $_[0]->expect('join')->{payload} }
# A node's members stay for 12 seconds, and then for their debounce.
sub leave_of { $_[0]->expect('leave', undef, timeout => 3 * $Weft::Client::TIMEOUT)->{payload} }
# Users of a channel's members, as this client's node sees them.
sub users { my ($client, $channel) = @_; return join ' ', sort map { $_->{user} } @{ $client->must('presence', channel => $channel)->{members} } }
sub become { my ($client, $channel, $users) = @_; return wait_for { users($client, $channel) eq $users } }
# Joins and leaves that came so far.
sub changes { return join ' ', map { "$_->{type} $_->{payload}{member}{user}" } grep { $_->{type} =~ /^(?:join|leave)$/ } $_[0]->drain }

# From here on both nodes know all that the other does.
{
    my $one = $a->client(sub => 'meet-a');
    my $two = $b->client(sub => 'meet-b');
    $_->subscribe('room:meet') for $one, $two;
    ok(become($_, 'room:meet', 'meet-a meet-b'), 'the nodes know each other') for $one, $two;
}

check 'who joins is told on both nodes, with the info of the ticket' => sub {
    my $ann = $a->client;
    is($ann->subscribe('room:join')->{members}, 0, 'the first');
    is(join_of($ann)->{member}{user}, 'ann', 'is told of itself');
    my $bob = $b->client(sub => 'bob', info => { name => 'Bob', age => 7 });
    $bob->subscribe('room:join');
    my $joined = join_of($ann);
    is($joined->{member}{user}, 'bob', 'bob');
    is_deeply($joined->{member}{info}, { name => 'Bob', age => 7 }, 'and what the ticket says of him');
    is($joined->{member}{client_id}, $bob->greeting->{client_id}, 'the connection');
    ok($joined->{first}, 'the first of his connections');
    is($joined->{count}, 2, 'how many they are');
    for my $client ($ann, $bob) { ok(become($client, 'room:join', 'ann bob'), 'both list both') }
    my $page = $ann->must('presence', channel => 'room:join');
    is($page->{count}, 2, 'counted');
    ok($page->{complete}, 'and that is all');
    $bob->leave;
    my $left = leave_of($ann);
    is($left->{member}{user}, 'bob', 'he leaves');
    ok($left->{last}, 'with his last connection');
    is(users($ann, 'room:join'), 'ann', 'and is gone');
};

check 'only who may see members is told' => sub {
    my $ann  = $a->client;
    my $deaf = $a->client(sub => 'deaf', channels => { '**' => ['subscribe'] });
    ok(!defined $deaf->subscribe('room:grant')->{members}, 'no number');
    $ann->subscribe('room:grant');
    ok(become($ann, 'room:grant', 'ann deaf'), 'it is a member');
    is($deaf->call('presence', channel => 'room:grant')->{payload}{code}, 4010, 'but may not ask');
    is(changes($deaf), '', 'nor is it told');
    is($ann->call('presence', channel => 'none')->{payload}{code}, 4010, 'nothing where there is no presence');
};

check 'a client that is soon back makes no noise, on whichever node' => sub {
    # Here nobody leaves by time, so who is gone is gone because he is back.
    my $ann = $a->client;
    $ann->subscribe('flap:one');
    my $bob = $a->client(sub => 'bob');
    $bob->subscribe('flap:one');
    join_of($ann) for 1, 2;
    for my $node ($b, $a, $b, $a) {
        $bob->hang_up;
        ok(wait_for { my ($m) = grep { $_->{user} eq 'bob' } @{ $ann->must('presence', channel => 'flap:one')->{members} }; $m }, 'still there');
        $bob = $node->client(sub => 'bob');
        $bob->subscribe('flap:one');
        is(changes($ann), '', 'nothing is told');
    }
    ok(become($ann, 'flap:one', 'ann bob'), 'one member each') or diag(users($ann, 'flap:one'));
};

check 'a killed worker: its members leave, those who are back do not' => sub {
    my $watch = $b->client(sub => 'watch');
    $watch->subscribe('slow:worker');
    my ($one, $two) = $a->client_per_worker(sub => 'ann');
    $_->subscribe('slow:worker') for $one;
    my $gone = $a->client(sub => 'gone');
    $gone->subscribe('slow:worker');
    ok(become($watch, 'slow:worker', 'ann gone watch'), 'all are there');
    $watch->drain;
    kill KILL => $a->nginx->workers;
    $t->expect_in_log(qr/exited on signal 9/);
    my $back;
    ok(wait_for { $back = eval { $a->client(sub => 'ann') } }, 'a new worker');
    $a->wait_linked;
    $back->subscribe('slow:worker');
    is(leave_of($watch)->{member}{user}, 'gone', 'who stays away leaves');
    is(changes($watch), '', 'and nothing is told of who is back');
    is(users($back, 'slow:worker'), 'ann watch', 'on its node, too');
};

check 'weftd killed: nothing is told elsewhere, and its own clients are told to ask again' => sub {
    my $watch = $b->client(sub => 'watch');
    $watch->subscribe('room:weftd');
    my $ann = $a->client;
    $ann->subscribe('room:weftd');
    my $bob = $a->client(sub => 'bob');
    $bob->subscribe('room:weftd');
    ok(become($watch, 'room:weftd', 'ann bob watch'), 'all are there');
    $_->drain for $watch, $ann;
    $a->weftd->crash;
    $a->weftd->start;
    $a->wait_linked;
    ok(served($ann), 'served again');
    is($ann->expect('presence_gap')->{payload}{channel}, 'room:weftd', 'changes may have been missed');
    ok(become($_, 'room:weftd', 'ann bob watch'), 'and all are known') for $ann, $watch;
    is(changes($watch), '', 'nothing is told');
    $bob->leave;
    is(leave_of($_)->{member}{user}, 'bob', 'who leaves then is told') for $ann, $watch;
};

check 'presence and history in one channel' => sub {
    my $ann      = $a->client;
    my $position = $ann->subscribe('kept:a')->{position};
    $ann->must('publish', channel => 'kept:a', data => $_) for 1 .. 3;
    my $bob = $b->client(sub => 'bob');
    ok(wait_for { @{ $bob->must('history', channel => 'kept:a')->{events} } == 3 }, 'replicated');
    is($bob->subscribe('kept:a', position => $position)->{replay}, 3, 'a resume');
    is($bob->event->{data}, $_, 'replayed') for 1 .. 3;
    is(join_of($ann)->{member}{user}, $_, "$_ joined") for 'ann', 'bob';
};

check 'counts alone' => sub {
    my @clients = map { my $c = ($a, $b)[ $_ % 2 ]->client; $c->subscribe('hall:a'); $c } 1 .. 10;
    for my $client (@clients[ 0, 1 ]) {
        ok(wait_for { $client->must('presence', channel => 'hall:a')->{count} == 10 }, 'ten on each node');
        ok(!exists $client->must('presence', channel => 'hall:a')->{members}, 'but not who');
    }
    $_->leave for @clients[ 5 .. 9 ];
    ok(wait_for { $clients[0]->must('presence', channel => 'hall:a')->{count} == 5 }, 'five');
    is(changes($clients[0]), '', 'nothing is told');
};

check 'a node that dies takes its members along, after a while' => sub {
    my $ann = $a->client;
    $ann->subscribe('room:node');
    my $bob = $b->client(sub => 'bob');
    $bob->subscribe('room:node');
    ok(become($ann, 'room:node', 'ann bob'), 'both are there');
    $b->weftd->signal('STOP');
    ok(wait_for { $a->weftd->log_text =~ /peer_down peer=b/ }, 'given up as a peer');
    is(users($ann, 'room:node'), 'ann bob', 'its members stay for now');
    $b->weftd->signal('CONT');
    ok(become($_, 'room:node', 'ann bob'), 'and it is back in time') for $ann;
    $b->wait_linked;
    ok(served($bob), 'served again');
    my $cid = $b->client(sub => 'cid');
    $cid->subscribe('room:node');
    ok(become($_, 'room:node', 'ann bob cid'), 'all agree') for $ann, $bob;
};

check 'a node that stays away does, and is back when it is' => sub {
    my $ann = $a->client;
    $ann->subscribe('room:dead');
    my $bob = $b->client(sub => 'bob');
    $bob->subscribe('room:dead');
    ok(become($_, 'room:dead', 'ann bob'), 'both are there') for $ann, $bob;
    $ann->drain;
    $b->weftd->crash;
    is(leave_of($ann)->{member}{user}, 'bob', 'it leaves');
    is(users($ann, 'room:dead'), 'ann', 'and is gone');
    $b->weftd->start;
    is(join_of($ann)->{member}{user}, 'bob', 'it joins');
    ok(served($bob), 'served again');
    ok(become($_, 'room:dead', 'ann bob'), 'all agree') for $ann, $bob;
};

$t->finish;
done_testing;
