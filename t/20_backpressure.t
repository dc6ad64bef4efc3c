# A weftd that doesn't keep up: workers leave what clients send in their sockets, and lose nothing.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
# Publishers here answer pings when they are read from, which takes a slow machine longer than the default heartbeat.
my $node = $t->node('a', location => "weft_ticket key=$key; weft_rate off; weft_heartbeat 10m; weft_message_size 1m; weft_send_queue 100m;");

# A child that publishes 1 to $count of $size bytes as fast as they are taken; the numbers it got no answer to are none of
# its business.
sub flood {
    my ($client, $channel, $count, $size) = @_;
    my $child = fork // die "fork: $!\n";
    return $child if $child;
    $client->socket->blocking(1);
    my $filler = 'f' x $size;
    for my $n (1 .. $count) {
        $client->raw_send(Weft::Client::frame_bytes(
            text => qq({"type":"publish","payload":{"channel":"$channel","data":[$n,"$filler"]}})));
    }
    require POSIX;
    POSIX::_exit(0);
}

check 'publishers are paused while weftd is stopped, and everything arrives once it goes on' => sub {
    my $subscriber = $node->client;
    $subscriber->subscribe('chat:flood');
    my @floods  = map { $node->client } 1 .. 3;
    my $worker  = ($node->nginx->workers)[0];
    my $before  = $node->nginx->memory_of($worker);
    my (@children, $pauses);
    # weftd is given up for dead after three seconds of silence; so it is stopped for less, again and again.
    for my $round (1 .. 3) {
        $node->weftd->signal('STOP');
        push @children, flood($floods[ $round - 1 ], 'chat:flood', 600, 50_000);
        $pauses++ if wait_for { $node->status->{connections}{paused} } 1.5;
        $node->weftd->signal('CONT');
        my $wrong = 0;
        for my $n (1 .. 600) {
            my $text = $subscriber->next_text // '';
            $wrong++ unless $text =~ /^\{"type":"event"/ && index($text, qq("data":[$n,"f)) > 0;
        }
        is($wrong, 0, "round $round: all 600 arrive, in order");
    }
    waitpid $_, 0 for @children;
    # A machine that is busy may not get that far in a second and a half; not in each round.
    ok($pauses, 'the publisher was not read for a while');
    my $refused = grep { $_->{type} eq 'error' } map { $_->drain } @floods;
    is($refused, 0, 'none was refused');
    is($node->status->{connections}{paused}, 0, 'nobody is paused any more');
    cmp_ok($node->nginx->memory_of($worker) - $before, '<', (200 << 20) + $Weft::Test::SANITIZER_MEMORY, 'what waited was bounded');
};

check 'a paused publisher is answered 4017 when weftd is lost, and others never wait' => sub {
    my $publisher = $node->client;
    my $other     = $node->client;
    $node->weftd->signal('STOP');
    my $child = flood($publisher, 'chat:lost', 1500, 50_000);
    ok(wait_for { $node->status->{connections}{paused} }, 'the publisher is paused');
    my $answers = 0;
    for (1 .. 100_000) {
        my $text = $publisher->next_text // last;
        $answers++ if $text =~ /"code":4017/;
        last if $answers == 500;
    }
    is($answers, 500, 'then it is told that the broker is unavailable');
    is($other->call('ping')->{type}, 'pong', 'others are answered');
    kill 'KILL', $child;
    waitpid $child, 0;
    $node->weftd->signal('CONT');
    $node->wait_linked;
    $other->subscribe('chat:after');
    ok($node->publish('chat:after', '1')->{status} == 202, 'and all is well again');
    is($other->event->{data}, 1, 'in every direction');
};

$t->finish;
done_testing;
