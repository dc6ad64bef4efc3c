# weft_status: what it counts, over all workers.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node('a', workers => 2, http => "    weft_drain 1s;\n", location => "weft_ticket key=$key; weft_rate off;");

check 'it is JSON' => sub {
    my $answer = $node->nginx->request(GET => '/status');
    is($answer->{status}, 200, 'status 200');
    like($answer->{headers}{'content-type'}, qr{^application/json}, 'application/json');
    like($answer->{json}{version} // '', qr/^\d+\.\d+\.\d+/, 'with a version');
    note($answer->{content});
};
check 'HEAD works, POST does not' => sub {
    my $head = $node->nginx->request(HEAD => '/status');
    is($head->{status}, 200, 'HEAD');
    is($head->{content} // '', '', 'without body');
    is($node->nginx->request(POST => '/status', content => 'x')->{status}, 405, 'POST is 405');
};
check 'connections and subscriptions are counted over both workers' => sub {
    ok(wait_for { $node->status->{connections}{active} == 0 }, 'none to begin with');
    my $before = $node->status;
    my ($one, $two) = $node->client_per_worker;
    my $active;
    ok(wait_for { ($active = $node->status->{connections}{active}) >= 2 }, 'two or more connections') or diag($active);
    $_->subscribe('chat:count') for $one, $two;
    $one->subscribe('chat:alone');
    ok(wait_for { $node->status->{subscriptions} == $before->{subscriptions} + 3 }, 'three subscriptions');
    ok($node->status->{connections}{accepted} >= $before->{connections}{accepted} + 2, 'accepted grows');
    $one->must('unsubscribe', channel => 'chat:alone');
    ok(wait_for { $node->status->{subscriptions} == $before->{subscriptions} + 2 }, 'one fewer');
    $_->hang_up for $one, $two;
    ok(wait_for { my $s = $node->status; $s->{connections}{active} == 0 && $s->{subscriptions} == 0 && $s->{channels} == 0 },
        'all are given back when the clients have gone');
};
check 'messages are counted' => sub {
    my $client = $node->client;
    my $before = $node->status;
    $client->must('ping') for 1 .. 25;
    ok(wait_for { $node->status->{messages}{in} >= $before->{messages}{in} + 25 }, '25 in');
    ok(wait_for { $node->status->{messages}{out} >= $before->{messages}{out} + 25 }, '25 out');
};
check 'the link is up with weftd there, and not without' => sub {
    # `state` is that of the worker that answers, `up` counts over all.
    my $is = sub {
        my ($up, $state) = @_;
        return wait_for { my $link = $node->status->{link}; $link->{up} == $up && $link->{state} =~ $state };
    };
    ok($is->(2, qr/^up$/), 'up in both workers');
    is($node->status->{workers}, 2, 'which are two');
    $node->weftd->crash;
    ok($is->(0, qr/^(?:down|greeting)$/), 'in neither');
    $node->weftd->start;
    ok($is->(2, qr/^up$/), 'up in both again');
};
check 'counts survive a reload, gauges belong to the living' => sub {
    my $client   = $node->client;
    $client->subscribe('chat:gauge');
    my $accepted = $node->status->{connections}{accepted};
    my @old      = $node->nginx->reload;
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers have gone');
    ok(wait_for { $node->status->{connections}{active} == 1 && $node->status->{subscriptions} == 1 }, 'the client has moved, and is counted once');
    $client->hang_up;
    ok(wait_for { $node->status->{connections}{active} == 0 && $node->status->{subscriptions} == 0 }, 'their connections are not counted any more');
    cmp_ok($node->status->{connections}{accepted}, '>=', $accepted, 'accepted did not go back');
};
check 'a killed worker leaves no ghosts in the gauges' => sub {
    $node->wait_linked;
    ok(wait_for { $node->status->{connections}{active} == 0 }, 'nobody');
    my ($one, $two) = $node->client_per_worker;
    $_->subscribe('chat:ghost') for $one, $two;
    my $victim = $node->nginx->worker_of($one);
    $t->expect_in_log(qr/worker process $victim exited on signal 9/);
    kill 'KILL', $victim;
    ok(wait_for { !$one->is_open && $node->nginx->workers == 2 && !grep { $_ == $victim } $node->nginx->workers }, 'replaced');
    $two->hang_up;
    ok(wait_for { my $s = $node->status; $s->{connections}{active} == 0 && $s->{subscriptions} == 0 }, 'nothing is counted any more')
        or diag(explain($node->status));
};

$t->finish;
done_testing;
