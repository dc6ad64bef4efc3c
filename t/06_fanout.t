# Fan-out within one nginx: several workers, many subscribers.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
# Clients here answer pings when they are read from, which takes a slow machine longer than the default heartbeat.
my $node = $t->node('a', workers => 2,
    location => "weft_ticket key=$key; weft_rate off; weft_message_size 1m; weft_send_queue 16m; weft_heartbeat 10m;");

check 'what a client of one worker publishes reaches the clients of each worker' => sub {
    my ($one, $two) = $node->client_per_worker;
    isnt($node->nginx->worker_of($one), $node->nginx->worker_of($two), 'they are on different workers');
    for my $pair ([ $one, $two ], [ $two, $one ]) {
        my ($from, $to) = @$pair;
        my $channel = $from == $one ? 'chat:onward' : 'chat:back';
        $_->subscribe($channel) for $from, $to;
        my $published = $from->must('publish', channel => $channel, data => 'over');
        is($to->event->{message_id},   $published->{message_id}, 'the other one gets it');
        is($from->event->{message_id}, $published->{message_id}, 'and so does the publisher');
        is(scalar $_->drain, 0, 'once') for $from, $to;
    }
};

check 'echo: false holds for one connection, not for one worker' => sub {
    my ($one, $two) = $node->client_per_worker;
    my $near = $node->client;    # on either worker
    $one->subscribe('chat:echo', echo => JSON::PP::false);
    $_->subscribe('chat:echo') for $two, $near;
    $one->must('publish', channel => 'chat:echo', data => 1);
    is($_->event->{data}, 1, 'others get it') for $two, $near;
    is(scalar $one->drain, 0, 'the publisher does not');
};

check 'signals cross workers' => sub {
    my ($one, $two) = $node->client_per_worker;
    $two->subscribe('chat:sig');
    $one->send_json({ type => 'signal', payload => { channel => 'chat:sig', name => 'typing' } });
    is($two->expect('signal')->{payload}{name}, 'typing', 'to the other one');
};

check 'every one of many subscribers gets every publication once, in order' => sub {
    my $count   = 300;
    my $rounds  = 50;
    my @clients = map { $node->client } 1 .. $count;
    $_->send_json({ type => 'subscribe', id => 's', payload => { channel => 'chat:crowd' } }) for @clients;
    $_->expect('subscribed', 's') for @clients;
    my ($one, $two) = $node->client_per_worker;
    for my $n (1 .. $rounds) {
        $_->send_json({ type => 'publish', payload => { channel => 'chat:crowd', data => [ $_ == $one ? 1 : 2, $n ] } }) for $one, $two;
    }
    my $wrong = 0;
    for my $client (@clients) {
        my %next = (1 => 1, 2 => 1);
        for (1 .. 2 * $rounds) {
            my ($who, $n) = @{ $client->event->{data} };
            $wrong++ if $n != $next{$who}++;
        }
        $wrong++ if $client->drain;
    }
    is($wrong, 0, "$count clients, " . 2 * $rounds . ' publications, each in the order of its publisher');
};

check 'a position is the same for every subscriber' => sub {
    my ($one, $two) = $node->client_per_worker;
    $_->subscribe('chat:position') for $one, $two;
    $one->must('publish', channel => 'chat:position', data => 1);
    is($one->event->{position}, $two->event->{position}, 'on both workers');
};

check 'a large publication arrives whole' => sub {
    my ($one, $two) = $node->client_per_worker;
    $_->subscribe('chat:large') for $one, $two;
    for my $size (125, 126, 65_535, 65_536, 1_000_000) {
        my $text = join '', map { chr(97 + $_ % 26) } 1 .. $size;
        $one->publish_json('chat:large', qq("$text"));
        ok(index($_->next_text, qq("$text")) >= 0, "$size bytes") for $one, $two;
    }
};

check 'a subscriber that leaves does not disturb the others' => sub {
    my @clients = map { $node->client } 1 .. 40;
    $_->subscribe('chat:leaving') for @clients;
    my $publisher = $node->client;
    my @staying;
    for my $i (0 .. $#clients) {
        $publisher->send_json({ type => 'publish', payload => { channel => 'chat:leaving', data => $i } });
        if    ($i % 4 == 0) { $clients[$i]->hang_up }
        elsif ($i % 4 == 1) { $clients[$i]->hang_up(reset => 1) }
        elsif ($i % 4 == 2) { $clients[$i]->close(1000) }
        else                { push @staying, $clients[$i] }
    }
    for my $client (@staying) {
        my @got = map { $client->event->{data} } 0 .. $#clients;
        is_deeply(\@got, [ 0 .. $#clients ], 'one that stays gets all');
    }
};

check 'a worker that is the last to leave a channel can come back' => sub {
    my ($one, $two) = $node->client_per_worker;
    for my $n (1 .. 20) {
        $two->subscribe('chat:comeback');
        $one->must('publish', channel => 'chat:comeback', data => $n);
        is($two->event->{data}, $n, "time $n");
        $two->must('unsubscribe', channel => 'chat:comeback');
    }
};

check 'what is published right after subscribed arrives, on another worker too' => sub {
    my ($one, $two) = $node->client_per_worker;
    my $missed = 0;
    for my $n (1 .. 100) {
        $two->subscribe("chat:barrier$n");
        $one->send_json({ type => 'publish', payload => { channel => "chat:barrier$n", data => $n } });
        my $event = $two->event;
        $missed++ if $event->{data} != $n;
    }
    is($missed, 0, 'a hundred times');
};

$t->finish;
done_testing;
