# Two nodes in a mesh: what is published on one is seen on the other.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my ($a, $b) = $t->mesh('a', 'b', { location => "weft_ticket key=$key; weft_rate off;" });

# Until the peers have found each other a publication may stay on its node; afterwards none may.
sub wait_meshed {
    my ($from, $to) = @_;
    my ($publisher, $subscriber) = ($from->client, $to->client);
    for (1 .. 6 * ($ENV{WEFT_SHARDS} || 1)) {    # every shard has some of them, all but surely
        my $channel = 'chat:meshed-' . $from->name . $to->name . '-' . int rand 1e9;
        $subscriber->subscribe($channel);
        wait_for {
            $publisher->must('publish', channel => $channel, data => 1);
            my $event = $subscriber->event(timeout => 0.2, quiet => 1);
            $event && $event->{channel} eq $channel;
        } or return 0;
    }
    return 1;
}
sub wait_all_meshed {
    ok(wait_meshed($a, $b), 'b hears a');
    ok(wait_meshed($b, $a), 'a hears b');
    return;
}

check 'two nodes find each other' => sub { wait_all_meshed() };

check 'what is published on a is seen on b, and the other way round' => sub {
    for my $pair ([ $a, $b ], [ $b, $a ]) {
        my ($from, $to) = @$pair;
        my $channel = 'chat:from-' . $from->name;
        my $ann     = $from->client(sub => 'ann');
        my $bob     = $to->client(sub => 'bob');
        $_->subscribe($channel) for $ann, $bob;
        my $published = $ann->must('publish', channel => $channel, data => { n => 1 });
        my $event     = $bob->event;
        is($event->{message_id}, $published->{message_id}, 'it arrives');
        is_deeply($event->{data}, { n => 1 }, 'whole');
        is($event->{publisher}{user}, 'ann', 'with its publisher');
        is($ann->event->{message_id}, $published->{message_id}, 'the publisher has it too');
        is(scalar $_->drain, 0, 'once') for $ann, $bob;
    }
};

check 'by HTTP too' => sub {
    my $bob = $b->client;
    $bob->subscribe('ticker:http');
    my $answer = $a->publish('ticker:http', '{"price": 1.50}');
    is($answer->{status}, 202, 'accepted on a');
    like($bob->event->{raw}, qr/"data":\{"price": 1\.50\}/, 'seen on b, byte for byte');
};

check 'signals cross the mesh' => sub {
    my ($ann, $bob) = ($a->client, $b->client);
    $bob->subscribe('chat:signal');
    $ann->send_json({ type => 'signal', payload => { channel => 'chat:signal', name => 'typing' } });
    is($bob->expect('signal')->{payload}{name}, 'typing', 'to the other node');
};

check 'what is published on a right after subscribed on b arrives' => sub {
    my $ann     = $a->client;
    my $bob     = $b->client;
    my @missing;
    for my $n (1 .. 50) {
        my $channel = "chat:barrier-$n";
        $bob->subscribe($channel);
        $ann->send_json({ type => 'publish', payload => { channel => $channel, data => $n } });
        my $event = $bob->event(quiet => 1);
        push @missing, $n if !$event || $event->{data} != $n;
    }
    is("@missing", '', 'in each of 50 channels');
};

check 'and in the other direction, from a cold channel, many at once' => sub {
    my $bob = $b->client;
    my $ann = $a->client;
    my @channels = map { "chat:cold-$_" } 1 .. 50;
    $ann->send_json({ type => 'subscribe', id => $_, payload => { channel => $_ } }) for @channels;
    for (@channels) {
        $ann->expect('subscribed', $_);
        $bob->send_json({ type => 'publish', payload => { channel => $_, data => $_ } });
    }
    my %got;
    for (@channels) { my $e = $ann->event(quiet => 1) or last; $got{ $e->{data} }++ }
    is_deeply(\%got, { map { $_ => 1 } @channels }, 'each arrives once');
};

check 'publications of one client keep their order across the mesh' => sub {
    my ($ann, $bob) = ($a->client, $b->client);
    $bob->subscribe('chat:order');
    $ann->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"publish","payload":{"channel":"chat:order","data":$_}})) } 1 .. 2000);
    my @got = map { $bob->event->{data} } 1 .. 2000;
    is_deeply(\@got, [ 1 .. 2000 ], 'two thousand of them');
};

check 'both nodes publish at once, and every subscriber gets everything once' => sub {
    my @publishers  = map { $_->client } $a, $b;
    my @subscribers = map { ($a->client, $b->client) } 1 .. 5;
    $_->subscribe('chat:both') for @subscribers;
    for my $n (1 .. 200) {
        $publishers[$_]->send_json({ type => 'publish', payload => { channel => 'chat:both', data => [ $_, $n ] } }) for 0, 1;
    }
    my $wrong = 0;
    for my $subscriber (@subscribers) {
        my @next = (1, 1);
        for (1 .. 400) {
            my ($who, $n) = @{ $subscriber->event->{data} };
            $wrong++ if $n != $next[$who]++;
        }
        $wrong++ if $subscriber->drain;
    }
    is($wrong, 0, 'in the order of each publisher');
};

check 'a channel that nobody on b wants any more is not disturbed by coming back' => sub {
    my ($ann, $bob) = ($a->client, $b->client);
    for my $n (1 .. 20) {
        $bob->subscribe('chat:again');
        $ann->must('publish', channel => 'chat:again', data => $n);
        is($bob->event->{data}, $n, "time $n");
        $bob->must('unsubscribe', channel => 'chat:again');
    }
};

check 'a node goes on alone when its peer dies, and the mesh mends when it returns' => sub {
    my ($ann, $bob) = ($a->client, $b->client);
    $_->subscribe('chat:split') for $ann, $bob;
    $b->weftd->crash;
    my $published = $ann->must('publish', channel => 'chat:split', data => 'alone');
    is($ann->event->{message_id}, $published->{message_id}, 'a serves its own');
    is(($a->client->subscribe('chat:split-new'))->{channel}, 'chat:split-new', 'and new subscriptions');
    $b->weftd->start;
    ok(Weft::Test::Node::served($bob), "b's worker has its weftd again");
    wait_all_meshed();
    ok(wait_for {
            $ann->must('publish', channel => 'chat:split', data => 'again');
            my $event = $bob->event(timeout => 0.2, quiet => 1);
            $event && $event->{data} eq 'again';
        }, 'the subscriber on b, which never subscribed anew, gets what a publishes');
};

check 'what a accepted and b lost is told as a gap on b' => sub {
    my ($ann, $bob) = ($a->client, $b->client);
    Weft::Test::Node::served($ann, $bob);
    wait_all_meshed();
    $bob->subscribe('chat:lost');
    $ann->must('publish', channel => 'chat:lost', data => 'before');
    is($bob->event->{data}, 'before', 'before');
    # What is sent to a stopped process is lost with it.
    $b->weftd->signal('STOP');
    $ann->must('publish', channel => 'chat:lost', data => $_) for 1 .. 20;
    $b->weftd->crash;
    $b->weftd->start;
    ok(Weft::Test::Node::served($bob), "b's weftd is back");
    my @told;
    my $end = wait_for {
        $ann->must('publish', channel => 'chat:lost', data => 'end');
        while (my $message = $bob->next_message(timeout => 0.2, quiet => 1)) { push @told, $message }
        grep { $_->{type} eq 'event' && $_->{payload}{data} eq 'end' } @told;
    };
    ok($end, 'publications arrive again');
    my %seen = map { $_->{payload}{data} => 1 } grep { $_->{type} eq 'event' } @told;
    my @missed = grep { !$seen{$_} } 1 .. 20;
    my @gaps   = grep { $_->{type} eq 'gap' && $_->{payload}{channel} eq 'chat:lost' } @told;
    ok(!@missed || @gaps, 'and what did not is covered by a gap frame') or diag(scalar(@missed) . ' missed');
    note(scalar(@missed) . ' missed, ' . @gaps . ' gaps told');
};

check 'a peer that is stopped for a while and goes on again loses nothing silently' => sub {
    my ($ann, $bob) = ($a->client, $b->client);
    Weft::Test::Node::served($ann, $bob);
    wait_all_meshed();
    $bob->subscribe('chat:frozen');
    $b->weftd->signal('STOP');
    $ann->must('publish', channel => 'chat:frozen', data => $_) for 1 .. 50;
    $b->weftd->signal('CONT');
    my (@got, $gap);
    wait_for {
        $ann->must('publish', channel => 'chat:frozen', data => 'end');
        while (my $message = $bob->next_message(timeout => 0.2, quiet => 1)) {
            $gap = 1 if $message->{type} eq 'gap';
            push @got, $message->{payload}{data} if $message->{type} eq 'event';
        }
        grep { $_ eq 'end' } @got;
    };
    my %seen = map { $_ => 1 } @got;
    ok($gap || !(grep { !$seen{$_} } 1 .. 50), 'everything arrived, or a gap was told') or diag("got @got");
    is(scalar(grep { $_ ne 'end' } @got), scalar(grep { $_ ne 'end' } keys %seen), 'nothing twice');
};

$t->finish;
done_testing;
